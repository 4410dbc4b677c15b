/**
 * What the released code does to its frozen base, done again on the host: in every step ε is added in
 * place to weights in bfloat16 and later subtracted, and neither sum is exact, so the base wanders.
 *
 *     seen_t = bf16(W_t + bf16(ε_t)),   W_{t+1} = bf16(seen_t − bf16(ε_t))
 *
 * ε is that of Eq. 7 with the norms of the base alone: on the host the factors of the step are not
 * known, and their product is small beside W.
 *
 * Reference: repository nblt/Flat-LoRA, class FlatLoraTrainer.
 */
import {
  asOperator,
  flatten,
  foldIn,
  type HostArray,
  hostArray,
  hostNormal,
  type Key,
  type Loss,
  toFloat,
  toHalf,
  treeMap,
  type Value,
} from '../../autodiff/index.js';

/** A tree whose matrices hold numbers of bfloat16, as float32. */
export const roundedBase = <T>(base: T): T =>
  treeMap((x: HostArray) => (x.shape.length === 2 ? rounded(x) : x), base) as T;

const rounded = (x: HostArray): HostArray => toFloat(toHalf(x, 'bfloat16'));

/** Matrices by their paths. */
export type Matrices = Readonly<Record<string, HostArray>>;

export const matricesAt = (base: unknown, paths: readonly string[]): Matrices => {
  const { leaves, paths: all } = flatten<HostArray>(base);
  return Object.fromEntries(paths.map((path) => [path, leaves[all.indexOf(path)] as HostArray]));
};

const map2 = (a: HostArray, b: HostArray, f: (x: number, y: number) => number): HostArray =>
  hostArray(
    Float32Array.from(a.data as Float32Array, (x, i) =>
      f(x, (b.data as Float32Array)[i] as number),
    ),
    a.shape,
  );

/** ε of Eq. 7 for a matrix, rounded to bfloat16. */
function epsilon(weight: HostArray, sigma: number, key: Key): HostArray {
  const [m, n] = weight.shape as [number, number];
  const data = weight.data as Float32Array;
  const draws = hostNormal(key, m * n);
  const out = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    let square = 0;
    for (let j = 0; j < n; j++) square += (data[i * n + j] as number) ** 2;
    const deviation = sigma * Math.sqrt(square / n);
    for (let j = 0; j < n; j++) out[i * n + j] = deviation * (draws[i * n + j] as number);
  }
  return rounded(hostArray(out, [m, n]));
}

export interface DriftStep {
  /** What the model sees in the step. */
  readonly seen: Matrices;
  /** The base after it. */
  readonly after: Matrices;
}

/** One addition and subtraction of noise at every matrix. */
export function driftStep(base: Matrices, sigma: number, key: Key): DriftStep {
  const entries = Object.entries(base).map(([path, weight], layer) => {
    const noise = epsilon(weight, sigma, foldIn(key, layer));
    const seen = rounded(map2(weight, noise, (w, e) => w + e));
    return [path, seen, rounded(map2(seen, noise, (w, e) => w - e))] as const;
  });
  return {
    seen: Object.fromEntries(entries.map(([path, seen]) => [path, seen])),
    after: Object.fromEntries(entries.map(([path, , after]) => [path, after])),
  };
}

/** The matrices that the model sees in step t, after `cycles` − 1 further rounds of noise each step. */
export function driftingBase(
  start: Matrices,
  {
    sigma,
    totalSteps,
    cycles,
    key,
  }: {
    readonly sigma: number;
    readonly totalSteps: number;
    readonly cycles: number;
    readonly key: Key;
  },
): { readonly seenAt: (step: number) => Matrices; readonly end: () => Matrices } {
  // Steps are asked for in order; what is kept is the base after the last one.
  let at = { step: 0, base: start };
  const through = (step: number): Matrices => {
    const strength = sigma * 0.5 * (1 - Math.cos((Math.PI * step) / totalSteps));
    let seen = at.base;
    for (let cycle = 0; cycle < cycles; cycle++) {
      const moved = driftStep(at.base, strength, foldIn(foldIn(key, step), cycle));
      seen = moved.seen;
      at = { step: step + 1, base: moved.after };
    }
    return seen;
  };
  return {
    seenAt: (step) => {
      if (step < at.step) at = { step: 0, base: start };
      while (at.step < step) through(at.step);
      return through(step);
    },
    end: () => {
      while (at.step < totalSteps) through(at.step);
      return at.base;
    },
  };
}

/** a − b, matrix by matrix. */
export const minus = (a: Matrices, b: Matrices): Matrices =>
  Object.fromEntries(
    Object.entries(a).map(([path, x]) => [path, map2(x, b[path] as HostArray, (p, q) => p - q)]),
  );

/** A tree with matrices added to its leaves. */
export const displacedBy = <T>(tree: T, by: Matrices): T =>
  treeMap((x: HostArray, path) => {
    const delta = by[path];
    return delta === undefined ? x : map2(x, delta, (p, q) => p + q);
  }, tree) as T;

/** The norm of all matrices together. */
export const normOf = (matrices: Matrices): number =>
  Math.sqrt(
    Object.values(matrices).reduce(
      (sum, { data }) => sum + (data as Float32Array).reduce((s, x) => s + x * x, 0),
      0,
    ),
  );

/** A batch that says by how much each adapted weight is displaced. */
export interface Displaced {
  readonly displacement: Readonly<Record<string, Value>>;
}

/** The loss whose adapted weights are displaced as the batch says. */
export const displacedByBatch =
  <P, X>(loss: Loss<P, X>): Loss<P, X> =>
  (params, batch, context) =>
    loss(params, batch, {
      ...context,
      weight: (weight, name, role) => {
        const outer = context.weight(weight, name, role);
        const delta = (batch as X & Displaced).displacement[name];
        return delta === undefined ? outer : asOperator(outer).plus(delta);
      },
    });
