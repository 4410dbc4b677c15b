/**
 * Kernels of the plan as WGSL modules. Most have an invocation per output element. Where an output is
 * the sum or maximum of a long row, a workgroup works on it together, so that neighbours in memory are
 * read at the same time.
 */
import { isHalf, type Var } from '../../../autodiff/index.js';
import { type Expression, type Kernel, parts } from '../../plan/expression.js';
import { fixed, type LoopVariable, ofAtom, plus, times } from '../../plan/position.js';
import { outerFolds } from '../../plan/product.js';
import { loopsFrom, substitute } from '../substitute.js';
import { type ArrayLayout, type KernelBindings, kernelBindings } from './bindings.js';
import { groupFold } from './folds.js';
import { definitionsOf, type WgslFunction } from './functions.js';
import { typeFinder, valueType } from './types.js';
import { valuePrinter } from './values.js';
import { createWriter, indent } from './writer.js';

/** A kernel that is ready to be compiled. */
export interface KernelCode {
  readonly source: string;
  /** What is filled and what is read, in order of their bindings. */
  readonly outputs: readonly Var[];
  readonly reads: readonly Var[];
  readonly usesNormalTable: boolean;
  /** Number of bindings that are written, and that are read. */
  readonly written: number;
  readonly read: number;
  readonly workgroups: number;
}

/** Invocations of a workgroup. */
export const LANES = 64;
/** Folds of at least so many terms are worth a workgroup. */
const LONG_ROW = 96;
/** With more outputs than this, invocations of their own keep the device busy. */
const FEW_OUTPUTS = 4096;

/** The lines that define the loops of an output's axes from its flat index. */
export function axesFrom(flat: string, axes: readonly LoopVariable[]): readonly string[] {
  let below = 1;
  const lines: string[] = [];
  for (const [i, { name, size }] of [...axes.entries()].reverse()) {
    const rest = below === 1 ? flat : `${flat} / ${below}`;
    const outermost = axes.slice(0, i).every((a) => a.size === 1);
    lines.push(`let ${name} = ${size === 1 ? '0' : outermost ? rest : `(${rest}) % ${size}`};`);
    below *= size;
  }
  return lines;
}

/** The head of every entry point: the workgroup's number, whatever the shape of the dispatch. */
export const entry = (lanes: number): readonly string[] => [
  `@compute @workgroup_size(${lanes})`,
  'fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,',
  '        @builtin(local_invocation_index) lane: u32) {',
  '  let workgroup = i32(group.y * groups.x + group.x);',
];

/** Whether a workgroup should compute each output together. */
function sharesFolds({ body, axes, output }: Kernel): boolean {
  const folds = outerFolds(body);
  const find = typeFinder();
  if (folds.length === 0 || output.dtype !== 'float') return false;
  if (folds.some((f) => f.fold === 'argmax' || (find(f.body) ?? 'f32') !== 'f32')) return false;
  const terms = (f: (typeof folds)[number]) => f.loops.reduce((n, l) => n * l.size, 1);
  if (!folds.some((f) => terms(f) >= LONG_ROW)) return false;
  const outputs = axes.reduce((n, a) => n * a.size, 1);
  return outputs <= FEW_OUTPUTS || folds.every((f) => readsRows(f.body, f.loops.at(-1)));
}

/** Whether the innermost loop walks along memory. */
function readsRows(body: Expression, innermost: LoopVariable | undefined): boolean {
  const seen = new Set<Expression>();
  const visit = (e: Expression): boolean => {
    if (seen.has(e)) return false;
    seen.add(e);
    if (e.kind !== 'load' && e.kind !== 'gather') return parts(e).some(visit);
    return e.at.terms.some(
      ({ atom, coefficient }) =>
        atom.kind === 'loop' && atom.name === innermost?.name && Math.abs(coefficient) === 1,
    );
  };
  return visit(body);
}

/** What the parts of a module have in common. */
export interface ModuleParts {
  readonly bindings: KernelBindings;
  /** The functions of `functions.ts` that are called. */
  readonly called: ReadonlySet<WgslFunction>;
  /** Further declarations and functions. */
  readonly definitions: readonly string[];
  readonly lanes: number;
  /** Lines of the entry point. */
  readonly body: readonly string[];
}

/** A module from its parts, in the order that is easiest to read. */
export const moduleOf = ({ bindings, called, definitions, lanes, body }: ModuleParts): string =>
  [
    ...bindings.declarations(),
    ...definitionsOf(called),
    ...definitions,
    ...entry(lanes),
    ...indent(body),
    '}',
  ].join('\n');

/** A kernel whose invocations are independent, or whose workgroups share their folds. */
export function printKernel(kernel: Kernel, layout: ArrayLayout): KernelCode {
  const called = new Set<WgslFunction>();
  const writer = createWriter(called);
  const { output, axes, reads } = kernel;
  const bindings = kernelBindings([output], reads, layout);
  const outputs = axes.reduce((n, a) => n * a.size, 1);
  const together = sharesFolds(kernel);
  const scope = { writer, bindings };
  const invocations = isHalf(output.dtype) ? Math.ceil(outputs / 2) : outputs;

  writer.line(
    together ? 'let at = workgroup;' : `let at = workgroup * ${LANES} + i32(lane);`,
    `if (at >= ${invocations}) { return; }`,
  );
  if (isHalf(output.dtype)) {
    // Two neighbours to a word.
    const pair: LoopVariable = { kind: 'loop', name: 'at', size: invocations };
    const bodies = [0, 1].map((nth) =>
      substitute(kernel.body, loopsFrom(axes, plus(times(ofAtom(pair), 2), fixed(nth)))),
    );
    const printer = valuePrinter(scope, bodies);
    const narrow = writer.call(output.dtype === 'bfloat16' ? 'narrowBfloat16' : 'narrowFloat16');
    const [low, high] = bodies.map((b) => `${narrow}(${printer.value(b, 'f32')})`);
    writer.line(bindings.store('at', `${low} | (${high} << 16u)`));
  } else {
    writer.line(...axesFrom('at', axes));
    const printer = valuePrinter(
      together ? { ...scope, together: { lane: 'lane', size: LANES } } : scope,
      [kernel.body],
    );
    const value = writer.local(printer.value(kernel.body, valueType(output.dtype)));
    const store = bindings.store('at', value);
    writer.line(together ? `if (lane == 0u) { ${store} }` : store);
  }
  const kinds = together ? [...new Set(outerFolds(kernel.body).map((f) => f.fold))] : [];
  if (kinds.includes('max')) writer.call('greater');
  return {
    source: moduleOf({
      bindings,
      called,
      definitions: together
        ? [
            `var<workgroup> partsOfGroup: array<f32, ${LANES}>;`,
            ...kinds.map((kind) => groupFold(kind as 'sum' | 'max', LANES)),
          ]
        : [],
      lanes: LANES,
      body: writer.text(),
    }),
    outputs: [output],
    reads,
    usesNormalTable: bindings.usesNormalTable(),
    written: bindings.written,
    read: bindings.read(),
    workgroups: together ? outputs : Math.ceil(invocations / LANES),
  };
}
