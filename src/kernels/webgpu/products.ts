/** Products as kernels see them: loops merged, the finished sums named, and how operands are read. */
import type { Var } from '../../autodiff/index.js';
import {
  buffersOf,
  type Expression,
  type Kernel,
  nodesOf,
  positionsOf,
} from '../plan/expression.js';
import { joint } from '../plan/lower.js';
import { mapPositions, mergeLoops } from '../plan/merge.js';
import type { LoopVariable, Position } from '../plan/position.js';
import { productKernelOf } from '../plan/product.js';

/** One sum of a product kernel. */
export interface ProductSum {
  readonly contracted: readonly LoopVariable[];
  readonly lhs: Expression;
  readonly rhs: Expression;
  /** Stands in the kernel's body for the finished sum. */
  readonly marker: Expression;
}

/** How the copies of an operand's tile should walk. */
export interface Access {
  /** Whether neighbours in memory lie along rows (or columns) rather than along the terms. */
  readonly alongLines: boolean;
  /** Whether neighbouring random words do. */
  readonly noiseAlongLines: boolean;
}

export interface ProductPlan {
  readonly sums: readonly ProductSum[];
  readonly batch: readonly LoopVariable[];
  readonly rows: readonly LoopVariable[];
  readonly columns: readonly LoopVariable[];
  /** Where an output lies, by batch, rows and columns. */
  readonly place: Position;
  /** What is stored, of the sums' markers. */
  readonly body: Expression;
  readonly reads: readonly Var[];
  /** Buffers of the operands alone. */
  readonly operandReads: readonly Var[];
}

/** An expression with some nodes replaced. */
export function replaceNodes(
  body: Expression,
  by: ReadonlyMap<Expression, Expression>,
): Expression {
  return mapPositions(body, (p) => p, new Map(by));
}

const stepAlong = ({ terms }: Position, name: string | undefined): number =>
  terms.find((t) => t.atom.kind === 'loop' && t.atom.name === name)?.coefficient ?? 0;

/** Which way an operand's elements, and its random words, lie next to each other. */
export function accessOf(
  operand: Expression,
  along: readonly LoopVariable[],
  { contracted }: ProductSum,
): Access {
  const nodes = nodesOf(operand);
  const lies = (p: Position): boolean =>
    Math.abs(stepAlong(p, along.at(-1)?.name)) === 1 &&
    Math.abs(stepAlong(p, contracted.at(-1)?.name)) !== 1;
  const words = nodes.flatMap((e) =>
    e.kind === 'randomWord' || e.kind === 'randomNormal' ? [e.at] : [],
  );
  const loads = nodes.flatMap((e) => (e.kind === 'load' || e.kind === 'gather' ? [e.at] : []));
  const innermost = along.at(-1)?.size ?? 1;
  return {
    alongLines: loads.some(lies) || words.some(lies),
    noiseAlongLines: innermost % 2 === 0 && words.some(lies),
  };
}

export const sizeOfLoops = (loops: readonly LoopVariable[]): number =>
  loops.reduce((n, l) => n * l.size, 1);

/** The product that a kernel is, or `undefined` where it is none. */
export function productPlanOf(kernel: Kernel): ProductPlan | undefined {
  const found = productKernelOf(kernel);
  if (found === undefined) return undefined;
  // Neighbouring axes that every position walks along as one become one.
  const known = new Map<Expression, Expression>();
  const place = joint(kernel.axes);
  let replace = (p: Position): Position => p;
  const merged = (loops: readonly LoopVariable[]): readonly LoopVariable[] => {
    const before = replace;
    const step = mergeLoops(loops, [...positionsOf(kernel.body), place].map(before));
    replace = (p) => step.replace(before(p));
    return step.loops;
  };
  const [batch, rows, columns] = [merged(found.batch), merged(found.rows), merged(found.columns)];
  const contracted = found.products.map((p) => merged(p.contracted));
  const body = mapPositions(kernel.body, replace, known);
  const as = (e: Expression) => known.get(e) as Expression;
  const sums = found.products.map(
    (p, i): ProductSum => ({
      contracted: contracted[i] as readonly LoopVariable[],
      lhs: as(p.lhs),
      rhs: as(p.rhs),
      marker: { kind: 'number', value: i },
    }),
  );
  const markers = new Map(
    found.products.map((p, i) => [as(p.fold), (sums[i] as ProductSum).marker]),
  );
  const operands = sums.flatMap((s) => [...buffersOf(s.lhs), ...buffersOf(s.rhs)]);
  return {
    sums,
    batch,
    rows,
    columns,
    place: replace(place),
    body: replaceNodes(body, markers),
    reads: kernel.reads,
    operandReads: [...new Map(operands.map((v) => [v.id, v])).values()],
  };
}
