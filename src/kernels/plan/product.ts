/**
 * Products: kernels that sum up lhs · rhs over contracted axes, such that one operand does not vary
 * along the output's columns and the other not along its rows. Backends compute them tile by tile:
 * copy a tile of each operand to fast memory, sum up, and finish the output's tile.
 *
 * Both operands are whole expressions (the *prologue*: noise drawn from a key, half-precision weights
 * widened), and what the kernel does with the sums is another (the *epilogue*: a bias, an activation).
 */
import { type Expression, type Kernel, parts, positionsOf } from './expression.js';
import type { Atom, LoopVariable, Position } from './position.js';

export type Fold = Extract<Expression, { kind: 'fold' }>;

/** One sum of products inside a kernel. */
export interface Product {
  /** The node of the kernel's body that stands for the finished sum. */
  readonly fold: Fold;
  readonly contracted: readonly LoopVariable[];
  /** Varies along batch, rows and contracted only. */
  readonly lhs: Expression;
  /** Varies along batch, columns and contracted only. */
  readonly rhs: Expression;
}

/** A kernel of products that share rows and columns. */
export interface ProductKernel {
  readonly products: readonly Product[];
  /** Axes of the output along which both operands vary, or none. */
  readonly batch: readonly LoopVariable[];
  readonly rows: readonly LoopVariable[];
  readonly columns: readonly LoopVariable[];
}

/** The names of the loop variables that a position depends on. */
export function loopsOfPosition({ terms }: Position): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (atom: Atom): void => {
    if (atom.kind === 'loop') names.add(atom.name);
    else for (const t of atom.of.terms) visit(t.atom);
  };
  for (const t of terms) visit(t.atom);
  return names;
}

/** The names of the loop variables that an expression depends on, its own folds' included. */
export const loopsOf = (e: Expression): ReadonlySet<string> =>
  new Set(positionsOf(e).flatMap((p) => [...loopsOfPosition(p)]));

/** The folds of a body that are not inside another fold, each once. */
export function outerFolds(body: Expression): readonly Fold[] {
  const found = new Set<Fold>();
  const visit = (e: Expression): void => {
    if (e.kind === 'fold') found.add(e);
    else parts(e).forEach(visit);
  };
  visit(body);
  return [...found];
}

const holdsFold = (e: Expression): boolean => outerFolds(e).length > 0;

/** The parts of a sum of products, in either order of its operands. */
function productOf(fold: Fold): Product | undefined {
  const { body, loops } = fold;
  if (fold.fold !== 'sum' || body.kind !== 'apply' || body.name !== 'mul') return undefined;
  if (body.dtype !== 'float') return undefined;
  const [lhs, rhs] = body.operands as readonly [Expression, Expression];
  if (holdsFold(lhs) || holdsFold(rhs)) return undefined;
  return { fold, contracted: loops, lhs, rhs };
}

/**
 * A kernel seen as products of matrices, or `undefined` where it is none: another fold among them, no
 * rows or no columns, or products whose rows are not each other's.
 */
export function productKernelOf(kernel: Kernel): ProductKernel | undefined {
  const products = outerFolds(kernel.body).map(productOf);
  const [first] = products;
  if (first === undefined || kernel.output.dtype !== 'float') return undefined;
  const sides = ({ lhs, rhs }: Product) => ({ left: loopsOf(lhs), right: loopsOf(rhs) });
  const place = (p: Product, { name }: LoopVariable): 'batch' | 'row' | 'column' => {
    const { left, right } = sides(p);
    if (left.has(name) === right.has(name)) return 'batch';
    return left.has(name) ? 'row' : 'column';
  };
  const axes = kernel.axes.filter((v) => v.size > 1);
  const places = axes.map((v) => place(first, v));
  const of = (wanted: string) => axes.filter((_, i) => places[i] === wanted);
  const same = (p: Product, flip: (x: string) => string) =>
    axes.every((v, i) => flip(place(p, v)) === places[i]);
  const turned = (x: string) => (x === 'row' ? 'column' : x === 'column' ? 'row' : x);
  const aligned = products.map((p) => {
    if (p === undefined) return undefined;
    if (same(p, (x) => x)) return p;
    return same(p, turned) ? { ...p, lhs: p.rhs, rhs: p.lhs } : undefined;
  });
  const [batch, rows, columns] = [of('batch'), of('row'), of('column')];
  if (rows.length === 0 || columns.length === 0 || aligned.includes(undefined)) return undefined;
  return { products: aligned as readonly Product[], batch, rows, columns };
}
