/** What kernels cost at least: operations on floats, and bytes moved from and to memory. */
import { isHalf, sizeOf } from '../../autodiff/index.js';
import type { AttentionKernel } from './attention.js';
import { type Expression, type Kernel, ownPositions, parts } from './expression.js';
import { bytesOf } from './memory.js';
import type { AnyKernel } from './plan.js';
import { loopsOfPosition } from './product.js';

export interface Cost {
  /**
   * Additions, multiplications, comparisons and functions of floats, each counted once per combination
   * of the loop variables that it depends on: 2·m·n·k for a product. Integer work is not counted.
   */
  readonly flops: number;
  /** The result, and of each buffer the part that is read, once. */
  readonly bytes: number;
}

/** Conversions and choices between floats are no arithmetic. */
const NO_ARITHMETIC = new Set(['convert', 'select', 'stopGradient']);

type Names = ReadonlySet<string>;

const union = (sets: readonly Names[]): Names => new Set(sets.flatMap((s) => [...s]));

/**
 * Attention: the products, and four operations a score (scale, exponential, maximum, sum). The
 * backward pass makes the scores again, and four more products.
 */
function attentionCost(kernel: AttentionKernel): Cost {
  const { batch, rows, columns, depth, width, reads, outputs } = kernel;
  const scores = [...batch, rows, columns].reduce((n, v) => n * v.size, 1);
  const terms =
    kernel.kind === 'attention' ? depth.size + width.size : 3 * depth.size + 2 * width.size;
  return {
    flops: scores * (2 * terms + 4),
    bytes: [...reads, ...outputs].reduce((n, v) => n + bytesOf(v), 0),
  };
}

/** The cost of one kernel. */
export const kernelCost = (kernel: AnyKernel): Cost =>
  'kind' in kernel ? attentionCost(kernel) : expressionCost(kernel);

function expressionCost({ output, axes, body }: Kernel): Cost {
  const sizes = new Map(axes.map((a) => [a.name, a.size]));
  const loops = new Map<Expression, Names>();
  const read = new Map<number, { elements: number; bytes: number; perElement: number }>();
  let flops = 0;
  const trips = (names: Names): number =>
    [...names].reduce((n, name) => n * (sizes.get(name) ?? 1), 1);

  /** Counts a node and what is below it; the loop variables that it depends on. */
  const visit = (e: Expression): Names => {
    const known = loops.get(e);
    if (known !== undefined) return known;
    if (e.kind === 'fold') for (const v of e.loops) sizes.set(v.name, v.size);
    const below = union([...parts(e).map(visit), ...ownPositions(e).map(loopsOfPosition)]);
    let names = below;
    if (e.kind === 'fold') {
      const folded = new Set(e.loops.map((v) => v.name));
      flops += trips(union([below, folded]));
      names = new Set([...below].filter((name) => !folded.has(name)));
    } else if (e.kind === 'apply' && e.dtype === 'float' && !NO_ARITHMETIC.has(e.name)) {
      flops += trips(below);
    } else if (e.kind === 'load' || e.kind === 'gather') {
      const bytes = bytesOf(e.buffer);
      const perElement = isHalf(e.buffer.dtype) ? 2 : 4;
      const elements = (read.get(e.buffer.id)?.elements ?? 0) + trips(below);
      read.set(e.buffer.id, { elements, bytes, perElement });
    }
    loops.set(e, names);
    return names;
  };
  visit(body);
  const bytesRead = [...read.values()].reduce(
    (n, r) => n + Math.min(r.bytes, r.perElement * r.elements),
    0,
  );
  return { flops: sizeOf(output.shape) === 0 ? 0 : flops, bytes: bytesRead + bytesOf(output) };
}

/** The sum of costs. */
export const totalCost = (costs: readonly Cost[]): Cost => ({
  flops: costs.reduce((n, c) => n + c.flops, 0),
  bytes: costs.reduce((n, c) => n + c.bytes, 0),
});
