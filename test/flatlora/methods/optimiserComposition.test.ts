/**
 * Methods that change the optimiser together with `flat`, clipping, accumulation and resuming; what
 * they are by definition; and what they refuse.
 */
import fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import {
  flatten,
  floats,
  type HostArray,
  key,
  type Loss,
  lift,
  orThrow,
  type Shape,
  treeMap,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  type CheckpointStore,
  decodeTrainingState,
  encodeTrainingState,
  matchTrainingState,
} from '../../../src/checkpoints/index.js';
import {
  type AdapterMethod,
  adapt,
  balanced,
  flat,
  galore,
  lora,
  loraPlus,
  loraPro,
  mergeTraced,
  nbar,
  obar,
  projectGradients,
  rslora,
  towardsFullGradient,
} from '../../../src/flatlora/index.js';
import { evaluate, referenceBackend } from '../../../src/kernels/index.js';
import {
  adamW,
  chain,
  clipByGlobalNorm,
  constantSchedule,
  type GradientTransformation,
  sgd,
  stateless,
} from '../../../src/optimisers/index.js';
import { type TrainingEvent, train } from '../../../src/training/index.js';
import { generator, seeds, uniformArray } from '../../support/draw.js';
import { relativeError, toNumbers } from '../../support/numeric.js';
import { runs } from '../../tooling/property.js';
import { initNetwork, makeBatch, networkLoss } from '../support.js';

const base = initNetwork(3);
const targets = { targetModules: ['first', 'second'], rank: 2, alpha: 4 };
const STEPS = 5;

const METHODS: readonly (readonly [string, AdapterMethod<unknown>])[] = (
  [
    ['lora', lora(targets)],
    ['rslora', rslora(targets)],
    ['lora+', loraPlus(targets)],
    ['lora-pro', loraPro(targets)],
    ['lora-pro, moments of factors', loraPro({ ...targets, moments: 'factors' })],
    ['nbar', nbar(targets)],
    ['obar', obar(targets)],
    ['galore', galore({ rank: 2, gap: 2, targetModules: ['first', 'second'] })],
  ] as const
).map(([name, method]) => [name, method as unknown as AdapterMethod<unknown>]);

/** Rows of a batch of six. */
const partOf = (from: number, to: number) =>
  treeMap((x: HostArray) => {
    const width = x.shape[1] as number;
    return floats(toNumbers(x).slice(from * width, to * width), [to - from, width]);
  }, makeBatch(4));

interface RunOptions {
  readonly microBatches?: number;
  readonly sigma?: number;
  readonly store?: CheckpointStore;
  readonly stopAfter?: number;
}

async function trained(
  method: AdapterMethod<unknown>,
  { microBatches = 1, sigma = 0.3, store, stopAfter }: RunOptions = {},
) {
  const { adapters } = orThrow(method.init(base, key(7)));
  const stop = new AbortController();
  const losses: number[] = [];
  const observe = (event: TrainingEvent) => {
    if (event.kind !== 'step') return;
    losses.push(event.loss);
    if (event.step + 1 === stopAfter) stop.abort();
  };
  const size = 6 / microBatches;
  const result = await train(
    {
      loss: pipe(networkLoss, adapt(base, method), flat({ sigma })) as Loss<unknown, unknown>,
      optimiser: chain(
        clipByGlobalNorm(0.5),
        method.optimiser(adamW({ learningRate: 0.02, weightDecay: 0.1 }), { totalSteps: STEPS }),
      ),
      params: adapters,
      totalSteps: STEPS,
      batch: (_, micro) => partOf(micro * size, (micro + 1) * size),
      microBatches,
      runKey: key(11),
    },
    referenceBackend(),
    {
      observe,
      signal: stop.signal,
      ...(store && { checkpoints: { store, every: 100, configuration: {} } }),
    },
  );
  const { leaves } = flatten<HostArray>(result.state.params);
  return { losses, numbers: leaves.flatMap(toNumbers), state: result.state };
}

/** Keeps the last state as bytes, as a store on disk does. */
function memoryStore(): CheckpointStore {
  let bytes: Uint8Array | undefined;
  return {
    save: (state, configuration) => async () => {
      const encoded = encodeTrainingState(state, configuration);
      if (E.isRight(encoded)) bytes = encoded.right;
      return E.isRight(encoded) ? E.right(undefined) : encoded;
    },
    load: (template, configuration) =>
      bytes === undefined
        ? TE.right(O.none)
        : TE.fromEither(
            pipe(
              decodeTrainingState(bytes),
              E.flatMap((decoded) => matchTrainingState(decoded, template, configuration)),
              E.map((state: typeof template) => O.some({ state, passedOver: [] })),
            ),
          ),
  };
}

describe.each(METHODS)('%s', (_, method) => {
  test('with flat, clipping, accumulation, and interrupted', async () => {
    const whole = await trained(method);
    expect(whole.numbers.every(Number.isFinite)).toBe(true);
    const quiet = await trained(method, { sigma: 0 });
    expect(relativeError(whole.numbers, quiet.numbers)).toBeGreaterThan(1e-4);
    expect(Math.min(...quiet.losses)).toBeLessThan(quiet.losses[0] as number);
    const inParts = await trained(method, { microBatches: 2 });
    expect(relativeError(inParts.numbers, whole.numbers)).toBeLessThan(1e-8);
    // Three steps, then from the checkpoint: between two refreshes of GaLore.
    const store = memoryStore();
    const first = await trained(method, { store, stopAfter: 3 });
    expect(first.losses).toHaveLength(3);
    const second = await trained(method, { store });
    expect(second.losses).toHaveLength(STEPS - 3);
    expect(second.numbers).toEqual(whole.numbers);
  });

  test('merged weights are the effective ones', async () => {
    const { state } = await trained(method);
    const merged = orThrow(method.merge(base, state.params));
    const traced = (await evaluate(
      (adapters: never) => mergeTraced(base, method)(adapters) as never,
      referenceBackend(),
      state.params as never,
    )) as unknown;
    const [a, b] = [merged, traced].map((tree) =>
      flatten<HostArray>(tree).leaves.flatMap(toNumbers),
    ) as [number[], number[]];
    expect(relativeError(a, b)).toBeLessThan(1e-12);
  });
});

// ---------------------------------------------------------------- definitions
/** Updates of a transformation, on the reference. */
async function updatesOf<T>(
  optimiser: GradientTransformation,
  gradients: T,
  params: T,
  refresh = false,
): Promise<{ readonly updates: T; readonly state: unknown[] }> {
  return (await evaluate(
    (g: never, p: never, s: never) =>
      optimiser.update(g, s, p, { step: lift(0, 'int'), refresh }) as never,
    referenceBackend(),
    gradients as never,
    params as never,
    optimiser.init(params) as never,
  )) as unknown as { updates: T; state: unknown[] };
}

type Rows = readonly (readonly number[])[];
const rowsOf = (x: HostArray): Rows => {
  const [m, n] = x.shape as [number, number];
  return Array.from({ length: m }, (_, i) => toNumbers(x).slice(i * n, (i + 1) * n));
};
const times = (a: Rows, b: Rows): Rows =>
  a.map((row) =>
    (b[0] as readonly number[]).map((_, j) =>
      row.reduce((sum, x, k) => sum + x * ((b[k] as readonly number[])[j] as number), 0),
    ),
  );
const flipped = (a: Rows): Rows =>
  (a[0] as readonly number[]).map((_, j) => a.map((row) => row[j] as number));
const combine = (a: Rows, b: Rows, f: (x: number, y: number) => number): Rows =>
  a.map((row, i) => row.map((x, j) => f(x, (b[i] as readonly number[])[j] as number)));
const scaled = (a: Rows, s: number): Rows => a.map((row) => row.map((x) => s * x));
const greatest = (a: Rows): number => Math.max(...a.flat().map(Math.abs));
const arrayOf = (a: Rows): HostArray => floats(a.flat(), [a.length, (a[0] as number[]).length]);

describe('LoRA-Pro', () => {
  /** ∂A = s BᵀG, ∂B = s G Aᵀ of a full gradient, and what SGD with rate 1 then does. */
  async function sgdStep(seed: number, moments: 'full' | 'factors', damping: number) {
    const random = generator(seed);
    const draw = (shape: Shape) => rowsOf(uniformArray(random, shape, -1, 1));
    const [a, b, g, s] = [draw([2, 6]), draw([5, 2]), draw([5, 6]), 1.5];
    const gradients = {
      layer: {
        a: arrayOf(scaled(times(flipped(b), g), s)),
        b: arrayOf(scaled(times(g, flipped(a)), s)),
      },
    };
    const optimiser = towardsFullGradient(sgd({ learningRate: 1 }), { scale: s, moments, damping });
    const { updates } = await updatesOf(optimiser, gradients, {
      layer: { a: arrayOf(a), b: arrayOf(b) },
    });
    const [da, db] = [rowsOf(updates.layer.a), rowsOf(updates.layer.b)];
    const change = scaled(
      combine(times(b, da), times(db, a), (x, y) => x + y),
      s,
    );
    return { a, b, g, s, da, db, change };
  }

  test.each(['full', 'factors'] as const)(
    'moves the weight as near to the full gradient as A and B can (%s)',
    async (moments) => {
      await fc.assert(
        fc.asyncProperty(seeds, async (seed) => {
          const { a, b, g, s, da, db, change } = await sgdStep(seed, moments, 1e-13);
          // Least squares: what is left is orthogonal to all that changes of A and B can reach.
          const left = combine(g, change, (x, y) => x + y);
          expect(greatest(times(flipped(b), left))).toBeLessThan(1e-7);
          expect(greatest(times(left, flipped(a)))).toBeLessThan(1e-7);
          // X: of all such pairs this one is nearest to −∂A, −∂B.
          const toA = combine(da, times(flipped(b), g), (x, y) => x + s * y);
          const toB = combine(db, times(g, flipped(a)), (x, y) => x + s * y);
          const slope = combine(times(toA, flipped(a)), times(flipped(b), toB), (x, y) => x - y);
          const size = greatest(da) + greatest(db) + greatest(g);
          expect(greatest(slope) / size ** 2).toBeLessThan(1e-7);
        }),
        { numRuns: runs(8) },
      );
    },
  );

  test('keeps moments of the shape of the weight, or of A and B', () => {
    const params = {
      layer: { a: floats(new Float64Array(12), [2, 6]), b: floats(new Float64Array(10), [5, 2]) },
    };
    const shapes = (moments: 'full' | 'factors') =>
      flatten<HostArray>(
        towardsFullGradient(adamW({ learningRate: 1 }), { scale: 1, moments }).init(params),
      ).leaves.map((x) => x.shape.join('×'));
    expect(shapes('full').sort()).toEqual(['', '', '5×6', '5×6']);
    expect(shapes('factors').sort()).toEqual(['', '', '2×6', '2×6', '5×2', '5×2']);
  });
});

describe('GaLore', () => {
  const weights = {
    wide: floats(
      Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      [4, 6],
    ),
    tall: floats(
      Array.from({ length: 35 }, (_, i) => Math.cos(i * i)),
      [7, 5],
    ),
    narrow: floats([1, 2, 3, 4, 5, 6], [3, 2]),
    bias: floats([1, -1]),
  };

  test('with SGD descends by the projection of the gradient on its leading subspace', async () => {
    const optimiser = projectGradients(sgd({ learningRate: 1 }), { rank: 2, scale: 1, gap: 9 });
    const { updates, state } = await updatesOf(optimiser, weights, weights, true);
    const bases = state[0] as Record<'wide' | 'tall', HostArray>;
    expect(Object.keys(bases).sort()).toEqual(['tall', 'wide']);
    for (const name of ['wide', 'tall'] as const) {
      const p = rowsOf(bases[name]);
      expect(relativeError(times(flipped(p), p).flat(), [1, 0, 0, 1])).toBeLessThan(1e-12);
      const onto = times(p, flipped(p));
      const g = rowsOf(weights[name]);
      const expected = name === 'wide' ? times(onto, g) : times(g, onto);
      expect(greatest(combine(rowsOf(updates[name]), expected, (x, y) => x + y))).toBeLessThan(
        1e-12,
      );
      // The leading two of at most five directions keep more than their share.
      const kept = expected.flat().reduce((sum, x) => sum + x * x, 0);
      expect(kept).toBeGreaterThan(0.4 * g.flat().reduce((sum, x) => sum + x * x, 0));
    }
    expect(toNumbers(updates.narrow)).toEqual(toNumbers(weights.narrow).map((x) => -x));
    expect(toNumbers(updates.bias)).toEqual([-1, 1]);
  });

  test('keeps its subspace between refreshes', async () => {
    const optimiser = projectGradients(adamW({ learningRate: 1 }), { rank: 2 });
    const { state } = await updatesOf(optimiser, weights, weights, false);
    expect(toNumbers((state[0] as { wide: HostArray }).wide).every((x) => x === 0)).toBe(true);
    expect(optimiser.refreshEvery).toBe(500);
  });
});

describe('BAR', () => {
  const params = { layer: { a: floats([3, 4], [1, 2]), b: floats([1, 1], [2, 1]) } };
  const gradients = { layer: { a: floats([0, 0.1], [1, 2]), b: floats([2, 0], [2, 1]) } };
  const still = { ...stateless((g) => g), learningRate: constantSchedule(0.2) };
  const nothing = stateless((g) => treeMap((x: Value) => lift(0 * x.shape.length), g) as never);

  test.each([
    ['nbar', -0.1, 0.1],
    ['obar', -0.1, 0.1],
  ] as const)('%s rescales by a·η', async (variant, forA, forB) => {
    const inner = chain(nothing, still);
    const { updates } = await updatesOf(
      balanced(inner, { variant, strength: 0.5 }),
      gradients,
      params,
    );
    expect(relativeError(toNumbers(updates.layer.a), [3 * forA, 4 * forA])).toBeLessThan(1e-12);
    expect(relativeError(toNumbers(updates.layer.b), [forB, forB])).toBeLessThan(1e-12);
  });

  test('the variants look at different norms', async () => {
    const swapped = { layer: { a: floats([2, 0], [1, 2]), b: floats([0, 0.1], [2, 1]) } };
    const first = async (variant: 'nbar' | 'obar') =>
      (
        await updatesOf(balanced(chain(nothing, still), { variant }), swapped, params)
      ).updates.layer.a.get(0, 0);
    expect(await first('nbar')).toBeCloseTo(0.3, 12);
    expect(await first('obar')).toBeCloseTo(-0.3, 12);
  });
});

// ---------------------------------------------------------------- refusals
describe('what cannot be combined', () => {
  const adam = adamW({ learningRate: 0.1 });
  const noPairs = { layer: { a: floats([1], [1, 1]), b: floats([1], [1, 1]), m: floats([1]) } };
  const pairs = { layer: { a: floats([1], [1, 1]), b: floats([1], [1, 1]) } };
  const matrix = { w: floats(new Float64Array(30), [5, 6]) };

  test.each([
    [
      () => towardsFullGradient(adam, { scale: 1 }).init(noPairs),
      'loraPro: "layer" has a [1,1], b [1,1], m [1], expected a [r,n] and b [m,r]',
    ],
    [() => towardsFullGradient(adam, { scale: 1 }).init({}), 'loraPro: no layers given'],
    [() => towardsFullGradient(adam, { scale: 1 }).init(base), 'loraPro: "first" has'],
    [() => towardsFullGradient(adam, { scale: 1, damping: 0 }), 'loraPro: damping is 0'],
    [
      () => towardsFullGradient(adam, { scale: 1, moments: 'half' as never }),
      'loraPro: moments is "half", expected "full" or "factors"',
    ],
    [() => balanced(adam, { variant: 'nbar' }).init(noPairs), 'nbar: "layer" has'],
    [() => balanced(adam, { variant: 'bar' as never }), 'bar: variant is "bar"'],
    [() => balanced(adam, { variant: 'obar', strength: -1 }), 'obar: strength is -1'],
    [
      () => balanced(clipByGlobalNorm(1), { variant: 'obar' }),
      'obar: the inner optimiser tells no learning rate',
    ],
    [() => projectGradients(adam, { rank: 0 }), 'galore: rank is 0'],
    [() => projectGradients(adam, { gap: 1.5 }), 'galore: gap is 1.5'],
    [() => projectGradients(adam, { scale: Number.NaN }), 'galore: scale is NaN'],
    [
      () => projectGradients({ ...adam, refreshEvery: 7 }, { gap: 9 }),
      'galore: gap is 9, expected 7',
    ],
    [
      () => projectGradients(adam, { rank: 5, targetModules: ['w'] }).init(matrix),
      'galore: rank is 5, expected less than the smaller side of "w" [5,6]',
    ],
    [() => projectGradients(adam, { targetModules: ['v'] }).init(matrix), 'targetModules: "v"'],
    [
      () => orThrow(loraPlus({ ...targets, ratio: 0 }).init(base, key(1))),
      'lora+: ratio is 0, expected a number > 0',
    ],
    [
      () => orThrow(rslora({ ...targets, alpha: -3 }).init(base, key(1))),
      'lora: alpha is -3, expected a number > 0',
    ],
  ])('%#', (f, message) => {
    expect(f).toThrow(message);
  });

  test('GaLore with decay that is coupled to the gradient', async () => {
    const coupled = projectGradients(sgd({ learningRate: 1, weightDecay: 0.1 }), { rank: 2 });
    await expect(updatesOf(coupled, matrix, matrix)).rejects.toThrow(
      'galore: the inner optimiser makes use of the weights',
    );
  });

  test('pairs are found by shape, whatever the layers are called', () => {
    expect(() => towardsFullGradient(adam, { scale: 1 }).init(pairs)).not.toThrow();
  });
});
