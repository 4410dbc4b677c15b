/** The laws of vmap, each as a function that throws where a case breaks it. */
import {
  dtypeOfHost,
  flatData,
  grad,
  type HostArray,
  hostArray,
  innerProduct,
  range,
  reduceSum,
  type Shape,
  sizeOf,
  storage,
  type Value,
  vmap,
} from '../../../src/autodiff/index.js';
import { relativeError, toNumbers, traced } from '../../support/numeric.js';
import { type Case, directionsLike, flat, floatPart, resultsOf } from './case.js';

/** Arrays of one shape and type, stacked along a new axis 0. */
export function stack(examples: readonly HostArray[]): HostArray {
  const [first] = examples as readonly [HostArray, ...HostArray[]];
  const size = sizeOf(first.shape);
  const out = storage(dtypeOfHost(first), size * examples.length);
  examples.forEach((x, i) => {
    out.set(flatData(x) as never, i * size);
  });
  return hostArray(out, [examples.length, ...first.shape]);
}

/** Row i of axis 0. */
export const rowOf = (x: HostArray, i: number): HostArray => {
  const shape: Shape = x.shape.slice(1);
  const size = sizeOf(shape);
  return hostArray(flatData(x).slice(i * size, (i + 1) * size), shape);
};

const same = (law: string, note: string, a: number[], b: number[], tolerance = 0): void => {
  const error = relativeError(a, b);
  if (!(error <= tolerance)) {
    throw new Error(`${law}: error ${error} for ${note}\n  [${a.join(', ')}]\n  [${b.join(', ')}]`);
  }
};

const axesOf = (flags: readonly boolean[]) => flags.map((b) => (b ? 0 : null));

/**
 * vmap over operands of which a subset is batched equals a loop over the examples, bit for bit.
 * `examples[b]` are the operands of example b (the unbatched ones are taken from example 0).
 */
export function vmapIsLoop(
  examples: readonly Case[],
  batched: readonly boolean[],
  note: string,
): void {
  const [first] = examples as readonly [Case, ...Case[]];
  const { f } = first;
  const operandsOf = (b: number) =>
    first.inputs.map((x, i) => (batched[i] ? ((examples[b] as Case).inputs[i] as HostArray) : x));
  const stacked = first.inputs.map((x, i) =>
    batched[i] ? stack(examples.map((_, b) => operandsOf(b)[i] as HostArray)) : x,
  );
  const mapped = vmap((...xs: Value[]) => f(xs), axesOf(batched));
  const got = traced(mapped, ...stacked)(...stacked);
  const single = traced((...xs: Value[]) => f(xs), ...operandsOf(0));
  examples.forEach((_, b) => {
    const want = single(...operandsOf(b));
    want.forEach((y, k) => {
      const row = rowOf(got[k] as HostArray, b);
      same(`vmap = loop (shape)`, note, [...row.shape], [...y.shape]);
      same(`vmap = loop`, note, toNumbers(row), toNumbers(y));
    });
  });
}

/** Two vmaps, one in the other, each with its own subset, equal a double loop. */
export function vmapOfVmap(
  grid: readonly (readonly Case[])[],
  outer: readonly boolean[],
  inner: readonly boolean[],
  note: string,
): void {
  const first = (grid[0] as readonly Case[])[0] as Case;
  const { f } = first;
  const operand = (a: number, b: number, i: number): HostArray =>
    ((grid[outer[i] ? a : 0] as readonly Case[])[inner[i] ? b : 0] as Case).inputs[i] as HostArray;
  const columns = (grid[0] as readonly Case[]).length;
  const innerStack = (a: number, i: number): HostArray =>
    inner[i] ? stack(range(columns).map((b) => operand(a, b, i))) : operand(a, 0, i);
  const stacked = first.inputs.map((_, i) =>
    outer[i] ? stack(grid.map((_row, a) => innerStack(a, i))) : innerStack(0, i),
  );
  const mapped = vmap(
    vmap((...xs: Value[]) => f(xs), axesOf(inner)),
    axesOf(outer),
  );
  const got = traced(mapped, ...stacked)(...stacked);
  const single = traced((...xs: Value[]) => f(xs), ...first.inputs);
  grid.forEach((row, a) => {
    row.forEach((_, b) => {
      const want = single(...first.inputs.map((_x, i) => operand(a, b, i)));
      want.forEach((y, k) => {
        same(
          'vmap of vmap',
          note,
          toNumbers(rowOf(rowOf(got[k] as HostArray, a), b)),
          toNumbers(y),
        );
      });
    });
  });
}

/**
 * The gradient of Σ_b L(x_b) through vmap is the stack of per-example gradients (vmap of grad) for
 * batched operands, and their sum for shared ones. Sums may be taken in another order: 1e-12.
 */
export function gradOfVmap(
  examples: readonly Case[],
  batched: readonly boolean[],
  note: string,
): void {
  const [first] = examples as readonly [Case, ...Case[]];
  const { g, x } = floatPart(first);
  const shared = x.map((xi, i) => ({ xi, batched: batched[i] === true }));
  const own = examples.map((c) => floatPart(c).x);
  const stacked = shared.map(({ xi, batched: b }, i) =>
    b ? stack(own.map((o) => o[i] as HostArray)) : xi,
  );
  const flags = shared.map(({ batched: b }) => b);
  const u = directionsLike(resultsOf({ g, x }), first.seed);
  const loss = (us: readonly Value[]) => (xs: readonly Value[]) => innerProduct(g(xs), us);
  const total = (xs: readonly Value[], us: readonly Value[]) =>
    reduceSum(vmap((...ys: Value[]) => loss(us)(ys), axesOf(flags))(...xs));
  const whole = traced(
    (xs: readonly Value[], us: readonly Value[]) =>
      grad((ys: readonly Value[]) => total(ys, us))(xs),
    stacked,
    u,
  )(stacked, u);
  const each = traced(
    (xs: readonly Value[], us: readonly Value[]) =>
      vmap((...ys: Value[]) => grad(loss(us))(ys), axesOf(flags))(...xs),
    stacked,
    u,
  )(stacked, u);
  shared.forEach(({ batched: b }, i) => {
    const rows = each[i] as HostArray;
    const perExample = range(examples.length).map((k) => toNumbers(rowOf(rows, k)));
    const want = b
      ? flat([rows])
      : (perExample[0] as number[]).map((_, j) =>
          perExample.reduce((sum, row) => sum + (row[j] as number), 0),
        );
    same('grad of vmap = vmap of grad, summed', note, flat([whole[i] as HostArray]), want, 1e-12);
  });
}
