/** What the functions of all kernels have in common: their parameters, and how threads share work. */
import type { Var } from '../../autodiff/index.js';
import type { Code } from './encoding.js';
import { get, i32 } from './instructions.js';
import { createNest } from './nest.js';
import type { ValueContext } from './values.js';
import { createWriter, type Local, type Writer } from './writer.js';

/** What the engine can do. */
export interface FunctionOptions {
  /** Fused multiply-add of the relaxed SIMD proposal. */
  readonly relaxed: boolean;
  /** Address of the table of normals. */
  readonly normalTable: number;
}

/** Parameters before the buffers' addresses; `part` numbers the calls of steps that run in parts. */
export const PARAMETERS = ['thread', 'threads', 'scratch', 'shared', 'part'] as const;

/** The beginning of a kernel's function: parameters, then one address per buffer, output first. */
export function beginFunction(
  { output, reads }: { readonly output: Var; readonly reads: readonly Var[] },
  { relaxed, normalTable }: FunctionOptions,
) {
  const buffers = [output, ...reads.filter((v) => v.id !== output.id)];
  const writer = createWriter([...PARAMETERS, ...buffers].map(() => 'i32' as const));
  const slots = new Map(buffers.map((v, i) => [v.id, PARAMETERS.length + i]));
  const nest = createNest(writer);
  const pointerOf = (v: Var): Local => slots.get(v.id) as Local;
  const parameter = (name: (typeof PARAMETERS)[number]): Local => PARAMETERS.indexOf(name);
  const context: Omit<ValueContext, 'given' | 'fold'> = {
    nest,
    pointerOf,
    normalTable,
    relaxed,
  };
  return {
    writer,
    nest,
    pointerOf,
    context,
    thread: parameter('thread'),
    threads: parameter('threads'),
    scratch: parameter('scratch'),
    shared: parameter('shared'),
    part: parameter('part'),
  };
}

/** The part of 0 … size − 1 that a thread takes, in whole grains: from ≤ i < to. */
export function share(
  writer: Writer,
  thread: Local,
  threads: Local,
  size: number,
  grain: number,
): { readonly from: Local; readonly to: Local } {
  const grains = Math.ceil(size / grain);
  const above = i32.sub(i32.add(i32.const(grains), get(threads)), i32.const(1));
  const each = writer.define('i32', i32.mul(i32.divU(above, get(threads)), i32.const(grain)));
  const least = (x: Code): Local => {
    const kept = writer.define('i32', x);
    return writer.define(
      'i32',
      i32.select(get(kept), i32.const(size), i32.ltU(get(kept), i32.const(size))),
    );
  };
  const from = least(i32.mul(get(each), get(thread)));
  return { from, to: least(i32.add(get(from), get(each))) };
}
