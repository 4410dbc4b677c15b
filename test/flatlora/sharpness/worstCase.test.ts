/** The worst-case rise against quadratic losses, whose worst point is known, and against SAM. */
import {
  add,
  evaluationContext,
  flatten,
  grad,
  type HostArray,
  key,
  type Loss,
  lift,
  matmul,
  mul,
  reduceSum,
  square,
  type Value,
} from '../../../src/autodiff/index.js';
import { adapt, lora, loraSamShare, sam, worstCaseRise } from '../../../src/flatlora/index.js';
import { programRunner, referenceBackend } from '../../../src/kernels/index.js';
import { floats, numbers, run, toNumbers } from '../../support/numeric.js';
import { frobenius, matrixOf, plus, times } from '../matrices.js';
import type { AnyLoss } from '../seenWeights.js';
import {
  type Batch,
  gaussian,
  initNetwork,
  makeBatch,
  networkLoss,
  randomAdapters,
  seeded,
  trainingContext,
} from '../support.js';
import { jacobiEigenvalues } from './dense.js';

const backend = referenceBackend();
const runner = programRunner(backend);
afterEach(() => {
  expect(backend.memory().buffers).toBe(0);
});

/** L(w) = gᵀw + ½ wᵀHw at w = 0, in two leaves of 5 and 7 numbers. */
const SIZE = 12;
const zero = { a: floats(new Array(5).fill(0)), b: floats(new Array(7).fill(0)) };
const whole = (w: { a: Value; b: Value }) =>
  add(matmul(w.a, lift(selection(0, 5))), matmul(w.b, lift(selection(5, 7))));
const selection = (from: number, count: number): HostArray =>
  floats(
    Array.from({ length: count * SIZE }, (_, k) =>
      Number(k % SIZE === from + Math.floor(k / SIZE)),
    ),
    [count, SIZE],
  );
const quadratic = (g: HostArray, h: HostArray): AnyLoss => {
  const loss: Loss<{ a: Value; b: Value }, number> = (w, weight) => {
    const v = whole(w);
    const curved = mul(0.5, reduceSum(mul(v, matmul(lift(h), v))));
    return mul(weight, add(reduceSum(mul(lift(g), v)), curved));
  };
  return loss as never;
};

/** A symmetric matrix with both signs among its eigenvalues. */
const root = matrixOf(gaussian(seeded(301), [SIZE, SIZE]));
const H = root.map((row, i) => row.map((x, j) => x + (root[j]?.[i] as number)));
const h = floats(H.flat(), [SIZE, SIZE]);
const g = gaussian(seeded(302), [SIZE]);
const nothing = floats(new Array(SIZE).fill(0));

/**
 * max gᵀε + ½ εᵀHε over ‖ε‖ = ρ, the trust-region problem: (μ − H) ε = g with μ > λ_max and ‖ε‖ = ρ,
 * μ by bisection and the system by elimination, nothing of the tool.
 */
function trustRegion(rho: number): number {
  const solve = (mu: number): number[] => {
    const rows = H.map((row, i) => [
      ...row.map((x, j) => Number(i === j) * mu - x),
      g.get(i) as number,
    ]);
    for (let c = 0; c < SIZE; c++) {
      // Positive definite: no pivoting needed.
      for (let r = c + 1; r < SIZE; r++) {
        const f = (rows[r]?.[c] as number) / (rows[c]?.[c] as number);
        rows[r] = (rows[r] as number[]).map((x, j) => x - f * (rows[c]?.[j] as number));
      }
    }
    const x = new Array<number>(SIZE).fill(0);
    for (let i = SIZE - 1; i >= 0; i--) {
      const row = rows[i] as number[];
      const known = x.reduce((sum, v, j) => sum + (j > i ? v * (row[j] as number) : 0), 0);
      x[i] = ((row[SIZE] as number) - known) / (row[i] as number);
    }
    return x;
  };
  const top = jacobiEigenvalues(H)[0] as number;
  let [low, high] = [top + 1e-9, top + 1e6];
  for (let k = 0; k < 200; k++) {
    const middle = (low + high) / 2;
    if (Math.hypot(...solve(middle)) > rho) low = middle;
    else high = middle;
  }
  const e = solve(high);
  const linear = e.reduce((sum, x, i) => sum + x * (g.get(i) as number), 0);
  const curved = H.reduce(
    (sum, row, i) => sum + (e[i] as number) * row.reduce((s, x, j) => s + x * (e[j] as number), 0),
    0,
  );
  return linear + curved / 2;
}

describe('a quadratic loss', () => {
  const rise = (loss: AnyLoss, options: object) =>
    worstCaseRise(runner, loss, zero, [1, 3], { rho: 0.7, ...options });
  const loss = quadratic(g, h);

  test('one step: ρ‖g‖ + ½ρ² gᵀHg/‖g‖², over the mean of the batches', async () => {
    const G = toNumbers(g);
    const norm = Math.hypot(...G);
    const curvature =
      H.reduce(
        (sum, row, i) =>
          sum + (G[i] as number) * row.reduce((s, x, j) => s + x * (G[j] as number), 0),
        0,
      ) /
      norm ** 2;
    const found = await rise(loss, {});
    expect(found.rise).toBeCloseTo(2 * (0.7 * norm + 0.5 * 0.49 * curvature), 10);
    expect(found.loss).toBe(0);
    expect(Math.hypot(...found.epsilon)).toBeCloseTo(0.7, 12);
  });

  test.each([0.2, 0.7, 3])('many steps: the exact maximum within ρ = %d', async (rho) => {
    const expected = 2 * trustRegion(rho);
    const found = await rise(loss, { rho, steps: 1000 });
    expect(found.rise / expected).toBeCloseTo(1, 8);
    // One step is a lower bound, and not the maximum.
    const first = await rise(loss, { rho });
    expect(first.rise).toBeLessThan((1 - 1e-4) * expected);
  });

  test('at a stationary point: ½ρ²λ_max from a random start, nothing without', async () => {
    const flatPoint = quadratic(nothing, h);
    expect((await rise(flatPoint, { steps: 5 })).rise).toBe(0);
    const found = await rise(flatPoint, { steps: 1500, start: key(4) });
    expect(found.rise / (0.5 * 0.49 * 2 * (jacobiEigenvalues(H)[0] as number))).toBeCloseTo(1, 6);
  });

  test('the step does not depend on the size of the gradient', async () => {
    const faint = await worstCaseRise(runner, loss, zero, [1e-6], { rho: 0.7 });
    const { rise: usual } = await rise(loss, {});
    expect(faint.rise / (0.5e-6 * usual)).toBeCloseTo(1, 8);
  });

  test('strong downward curvature: steps that overshoot are taken back', async () => {
    const entries = Array.from({ length: SIZE }, (_, i) => (i === 3 ? 1 : -40));
    const saddle = floats(
      entries.flatMap((x, i) => entries.map((_, j) => (i === j ? x : 0))),
      [SIZE, SIZE],
    );
    const found = await rise(quadratic(nothing, saddle), { steps: 1500, start: key(4) });
    expect(found.rise / (0.5 * 0.49 * 2)).toBeCloseTo(1, 6);
  });

  test('on a maximum the rise is 0', async () => {
    const hill: Loss<typeof zero, number> = (w) =>
      mul(-1, reduceSum(square(w.a as unknown as Value)));
    const found = await rise(hill as never, { steps: 3, start: key(1) });
    expect([found.rise, Math.max(...found.epsilon.map(Math.abs))]).toEqual([0, 0]);
  });

  test('bad options', async () => {
    await expect(rise(loss, { rho: 0 })).rejects.toThrow(/rho is 0/);
    await expect(rise(loss, { steps: 0 })).rejects.toThrow(/0 steps/);
    await expect(worstCaseRise(runner, loss, zero, [], { rho: 1 })).rejects.toThrow(/0 batches/);
  });
});

describe("SAM's own point", () => {
  const base = initNetwork(31);
  const batch = makeBatch(32);
  const method = lora({ rank: 2, alpha: 3, targetModules: ['first', 'second'] });
  const adapted = adapt(base, method)(networkLoss as AnyLoss) as AnyLoss;
  const adapters = randomAdapters(33);
  const lossAt = (loss: AnyLoss, params: unknown) =>
    numbers((p: never, b: Batch) => loss(p, b, trainingContext()), params, batch)[0] as number;

  test('over the factors: one step is the rise that `sam` trains on', async () => {
    const expected = lossAt(sam({ rho: 0.3 })(adapted), adapters) - lossAt(adapted, adapters);
    const found = await worstCaseRise(runner, adapted, adapters, [batch], { rho: 0.3 });
    expect(found.rise).toBeCloseTo(expected, 12);
    const further = await worstCaseRise(runner, adapted, adapters, [batch], {
      rho: 0.3,
      steps: 10,
    });
    expect(further.rise).toBeGreaterThan(found.rise);
  });

  test('over the merged weights: that of full-space `sam`', async () => {
    const merged = (method.merge(base, adapters) as { right: unknown }).right;
    const over = sam({ rho: 0.3, over: 'weights' });
    const expected = lossAt(over(adapted), adapters) - lossAt(adapted, adapters);
    const targets = { rho: 0.3, targetModules: ['first', 'second'] };
    const full = networkLoss as AnyLoss;
    const found = await worstCaseRise(runner, full, merged, [batch], targets);
    expect(found.rise).toBeCloseTo(expected, 12);
    // All weights, biases and norm scales too, can only do worse.
    const all = await worstCaseRise(runner, full, merged, [batch], { rho: 0.3 });
    expect(all.rise).not.toBeCloseTo(expected, 4);
  });

  test('Figure A2: ‖ε_B A‖/‖ε_W‖ of both layers together', () => {
    const rho = 0.4;
    const share = numbers(
      (p: never, b: Batch) =>
        loraSamShare(adapted as never, rho)(p, b as never, evaluationContext()),
      adapters,
      batch,
    )[0] as number;
    const gradient = run(
      (p: never, b: Batch) => grad((q: never) => adapted(q, b, evaluationContext()))(p),
      adapters,
      batch,
    ).map(matrixOf);
    const c = rho / Math.hypot(...gradient.map(frobenius));
    const [factors, shares] = [flatten<HostArray>(adapters).leaves.map(matrixOf), [0, 0]];
    for (const layer of [0, 2]) {
      const [a, b, gA, gB] = [
        factors[layer],
        factors[layer + 1],
        gradient[layer],
        gradient[layer + 1],
      ];
      if (!(a && b && gA && gB)) throw new Error('two arrays a layer');
      const [eA, eB] = [gA.map((r) => r.map((x) => c * x)), gB.map((r) => r.map((x) => c * x))];
      const through = times(eB, a);
      const epsilonW = plus(plus(times(b, eA), through), times(eB, eA));
      shares[0] = (shares[0] as number) + frobenius(through) ** 2;
      shares[1] = (shares[1] as number) + frobenius(epsilonW) ** 2;
    }
    expect(share).toBeCloseTo(Math.sqrt((shares[0] as number) / (shares[1] as number)), 12);
    expect(share).toBeLessThan(0.95);
    // With B = 0 the whole of ε_W is ε_B A (Eq. 4 is exact).
    const atStart = Object.fromEntries(
      Object.entries(adapters).map(([path, { a, b }]) => [
        path,
        { a, b: floats(new Array(b.size).fill(0), b.shape) },
      ]),
    );
    expect(
      numbers(
        (p: never, b: Batch) => loraSamShare(adapted as never)(p, b as never, evaluationContext()),
        atStart,
        batch,
      )[0],
    ).toBeCloseTo(1, 12);
  });
});
