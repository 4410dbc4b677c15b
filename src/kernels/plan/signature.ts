/**
 * Text that is equal for kernels that differ only in which buffers they read and fill, such as those
 * of equal layers: backends make code for one of them and use it for all.
 */
import type { Var } from '../../autodiff/index.js';
import { type Expression, parts } from './expression.js';
import { type AnyKernel, outputsOf } from './plan.js';
import { type LoopVariable, positionKey } from './position.js';

/** The buffers of a kernel, each once: what it fills, then what else it reads. */
export function buffersOfKernel(kernel: AnyKernel): readonly Var[] {
  const filled = outputsOf(kernel);
  const own = new Set(filled.map((v) => v.id));
  return [...filled, ...kernel.reads.filter((v) => !own.has(v.id))];
}

const loopText = (loops: readonly LoopVariable[]): string =>
  loops.map((v) => `${v.name}:${v.size}`).join();

/** What an expression says apart from its parts. */
function ownText(e: Expression, nameOf: (v: Var) => string): string {
  switch (e.kind) {
    case 'number':
      return `number ${Object.is(e.value, -0) ? '-0' : e.value}`;
    case 'position':
      return `position ${positionKey(e.at)}`;
    case 'load':
      return `load ${nameOf(e.buffer)} ${positionKey(e.at)}`;
    case 'gather':
      return `gather ${nameOf(e.buffer)} ${e.rows} ${e.width} ${positionKey(e.at)}`;
    case 'apply':
      return `${e.name} ${e.from} ${e.dtype}`;
    case 'guard':
      return `guard ${e.conditions.map((c) => `${positionKey(c.at)} ${c.low} ${c.high} ${c.step}`).join()}`;
    case 'fold':
      return `fold ${e.fold} ${loopText(e.loops)}`;
    case 'randomWord':
    case 'randomNormal':
      return `${e.kind} ${positionKey(e.at)}`;
    case 'derivedWord':
      return `derived ${e.purpose} ${positionKey(e.word)}`;
  }
}

/** The signature of a kernel; buffers appear as their places in `buffersOfKernel`. */
export function kernelSignature(kernel: AnyKernel): string {
  const buffers = buffersOfKernel(kernel);
  const places = new Map(buffers.map((v, i) => [v.id, i]));
  const nameOf = ({ id, shape, dtype }: Var): string => `#${places.get(id)} ${dtype}[${shape}]`;
  if ('kind' in kernel) {
    const isVar = (x: unknown): x is Var =>
      typeof x === 'object' && x !== null && 'id' in x && 'dtype' in x;
    return JSON.stringify(kernel, (_, value: unknown) => (isVar(value) ? nameOf(value) : value));
  }
  const numbers = new Map<Expression, number>();
  const lines: string[] = [];
  const visit = (e: Expression): number => {
    const known = numbers.get(e);
    if (known !== undefined) return known;
    const below = parts(e).map(visit);
    numbers.set(e, lines.length);
    return lines.push(`${ownText(e, nameOf)} (${below})`) - 1;
  };
  visit(kernel.body);
  return [`${nameOf(kernel.output)} over ${loopText(kernel.axes)}`, ...lines].join('\n');
}
