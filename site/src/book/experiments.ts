/**
 * The experiments of the book, computed by the library itself. Traceable functions and plain data: the page
 * runs them in a Worker, tests run them in Node.
 */
import {
  add,
  asOperator,
  div,
  evaluationContext,
  floats,
  foldIn,
  globalNorm,
  grad,
  type HostArray,
  hessian,
  hostNormal,
  key,
  type Loss,
  lift,
  matmul,
  mean,
  mul,
  normalQuantile,
  range,
  sqrt,
  square,
  sub,
  transpose,
  type Value,
  type Weight,
} from '../../../src/autodiff/index.js';
import { adapt, lora, loraSamShare, perturb } from '../../../src/flatlora/index.js';
import { type Backend, evaluate } from '../../../src/kernels/index.js';

export interface ActivationsResult {
  /** (W′+ε)ⱼ·x − W′ⱼ·x for many draws, over the deviation of W′ⱼ·x: standard where σ = 1. */
  readonly histogram: readonly number[];
  /** Edges of the histogram's cells, one more than cells. */
  readonly edges: readonly number[];
  /** The measured factor of Eq. 9, and 1 + σ². */
  readonly measured: number;
  readonly expected: number;
  readonly draws: number;
}

const DRAWS = 4000;
const CELLS = 41;

/**
 * Activations of one row under noise: x with mean zero, so that Eq. 9 is (1 + σ²)·‖W′ⱼ‖²·var x.
 * Rows are copies of one row, inputs are drawn anew for each: every row of the result is one draw.
 */
export async function activations(
  backend: Backend,
  { n, sigma, seed }: { readonly n: number; readonly sigma: number; readonly seed: number },
): Promise<ActivationsResult> {
  const w = hostNormal(foldIn(key(seed), 1), n);
  const length = Math.sqrt(w.reduce((sum, v) => sum + v * v, 0));
  const W = floats(
    range(DRAWS * n).map((k) => w[k % n] as number),
    [DRAWS, n],
  );
  const x = floats(hostNormal(foldIn(key(seed), 2), DRAWS * n), [DRAWS, n]);
  const out = (await evaluate(
    (a: Value, b: Value, k: Value) => mul(n, mean(mul(perturb(a, k, sigma), b), -1)),
    backend,
    W,
    x,
    foldIn(key(seed), 3),
  )) as HostArray;
  const scaled = Array.from(out.data as Float32Array, (v) => v / length);
  const variance = scaled.reduce((sum, v) => sum + v * v, 0) / DRAWS;
  const reach = 5 * Math.sqrt(1 + sigma * sigma);
  const counts = new Array<number>(CELLS).fill(0);
  for (const v of scaled) {
    const cell = Math.floor(((v + reach) / (2 * reach)) * CELLS);
    if (cell >= 0 && cell < CELLS) counts[cell] = (counts[cell] as number) + 1;
  }
  const width = (2 * reach) / CELLS;
  return {
    histogram: counts.map((c) => c / (DRAWS * width)),
    edges: range(CELLS + 1).map((i) => -reach + i * width),
    measured: variance,
    expected: 1 + sigma * sigma,
    draws: DRAWS,
  };
}

export interface RowSpaceResult {
  /** ‖ε_W·P‖² / ‖ε_W‖², P onto the row space of A: LoRA-SAM, and the noise of Eq. 7. */
  readonly samInside: number;
  readonly noiseInside: number;
  /** r/n: what a random direction has inside. */
  readonly chance: number;
  /** ‖ε_B·A‖ / ‖ε_W‖, the statistic of Figure A2. */
  readonly share: number;
}

/** Rows of a matrix made orthonormal (Gram–Schmidt, twice). */
function orthonormal(rows: readonly (readonly number[])[]): readonly (readonly number[])[] {
  const dot = (u: readonly number[], v: readonly number[]) =>
    u.reduce((sum, a, i) => sum + a * (v[i] as number), 0);
  const done: (readonly number[])[] = [];
  for (const row of rows) {
    let v = row;
    for (const u of [...done, ...done]) {
      const along = dot(v, u);
      v = v.map((a, i) => a - along * (u[i] as number));
    }
    const size = Math.sqrt(dot(v, v));
    if (size > 1e-9) done.push(v.map((a) => a / size));
  }
  return done;
}

const insideShare = (epsilon: HostArray, basis: readonly (readonly number[])[]): number => {
  const [m, n] = epsilon.shape as [number, number];
  let [inside, all] = [0, 0];
  for (let i = 0; i < m; i++) {
    const row = range(n).map((j) => epsilon.get(i, j));
    all += row.reduce((sum, v) => sum + v * v, 0);
    for (const u of basis) inside += row.reduce((sum, v, j) => sum + v * (u[j] as number), 0) ** 2;
  }
  return inside / all;
};

const [OUTPUTS, INPUTS, EXAMPLES] = [12, 24, 32];

interface Layer {
  readonly layer: { readonly weight: Weight };
}

/** What LoRA-SAM does to W (Eq. 3) beside what Flat-LoRA does to it (Eq. 7), as parts of the row space of A. */
export async function rowSpace(
  backend: Backend,
  {
    rank,
    size,
    rho,
    seed,
  }: {
    readonly rank: number;
    /** Of B's numbers, 0 at the start of LoRA. */
    readonly size: number;
    readonly rho: number;
    readonly seed: number;
  },
): Promise<RowSpaceResult> {
  const draw = (k: number, m: number, n: number, scale = 1) =>
    floats(
      Array.from(hostNormal(foldIn(key(seed), k), m * n), (z) => scale * z),
      [m, n],
    );
  const W = draw(1, OUTPUTS, INPUTS);
  const A = draw(2, rank, INPUTS, 1 / Math.sqrt(INPUTS));
  const B = draw(3, OUTPUTS, rank, size);
  const batch = { x: draw(4, EXAMPLES, INPUTS), y: draw(5, EXAMPLES, OUTPUTS) };
  type Batch = { readonly x: Value; readonly y: Value };
  const loss: Loss<Layer, Batch> = ({ layer }, { x, y }) =>
    mean(square(sub(asOperator(layer.weight).apply(x), y)));
  const at = (w: Value, b: Batch) => loss({ layer: { weight: w } }, b, evaluationContext());
  const adapted = adapt(
    { layer: { weight: W } },
    lora({ rank, alpha: rank, targetModules: ['layer'] }),
  )(loss);
  const found = await evaluate(
    (a: Value, b: Value, given: Batch, k: Value) => {
      const merged = add(lift(W), matmul(b, a));
      const G = grad((w: Value) => at(w, given))(merged) as Value;
      const [bG, gA] = [matmul(transpose(b), G), matmul(G, transpose(a))];
      const c = div(rho, globalNorm([bG, gA]));
      const sam = add(mul(c, add(matmul(b, bG), matmul(gA, a))), mul(mul(c, c), matmul(gA, bG)));
      return {
        sam,
        noise: sub(perturb(merged, k, 0.05), merged),
        share: loraSamShare(adapted as never, rho)(
          { 'layer.weight': { a, b } } as never,
          given as never,
          evaluationContext(),
        ),
      };
    },
    backend,
    A,
    B,
    batch,
    foldIn(key(seed), 6),
  );
  const basis = orthonormal(range(rank).map((i) => range(INPUTS).map((j) => A.get(i, j))));
  return {
    samInside: insideShare(found.sam as HostArray, basis),
    noiseInside: insideShare(found.noise as HostArray, basis),
    chance: rank / INPUTS,
    share: (found.share as HostArray).get(),
  };
}

export interface SmoothingResult {
  readonly x: readonly number[];
  /** The loss, and its mean under noise. */
  readonly loss: readonly number[];
  readonly smoothed: readonly number[];
  /** Greatest curvature of the mean, and what Lemma 3.1 allows: min{α/σ, β}. */
  readonly curvature: number;
  readonly bound: number;
}

/** Slope at most α, curvature at most β = α/width. */
const [ALPHA, KINK_WIDTH] = [1, 0.02];

/** α·√(x² + w²) with a narrow second kink beside it, averaged over N(0, σ²) (Lemma 3.1). */
export async function smoothing(
  backend: Backend,
  { sigma }: { readonly sigma: number },
): Promise<SmoothingResult> {
  const kink = (x: Value, at: number) => sqrt(add(square(sub(x, at)), KINK_WIDTH ** 2));
  const loss = (x: Value) => mul(ALPHA / 2, add(kink(x, -0.35), kink(x, 0.45)));
  const quantiles = floats(range(801).map((k) => normalQuantile((k + 0.5) / 801)));
  const points = range(161).map((i) => -1.2 + (2.4 * i) / 160);
  const xs = floats(points, [points.length, 1]);
  const averaged = (w: Value) => mean(loss(add(w, mul(sigma, quantiles))));
  const found = await evaluate(
    (x: Value) => ({ plain: loss(x), mean: mean(loss(add(x, mul(sigma, quantiles))), -1) }),
    backend,
    xs,
  );
  const curvatures: number[] = [];
  for (const place of [-0.35, 0.45]) {
    const second = await evaluate(hessian(averaged), backend, floats([place], []));
    curvatures.push((second as unknown as HostArray).get());
  }
  return {
    x: points,
    loss: Array.from((found.plain as HostArray).data as Float32Array),
    smoothed: Array.from((found.mean as HostArray).data as Float32Array),
    curvature: Math.max(...curvatures),
    bound: Math.min(ALPHA / sigma, ALPHA / KINK_WIDTH),
  };
}
