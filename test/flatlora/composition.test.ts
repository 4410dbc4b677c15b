/**
 * Every method with every loss transformer, under clipping, accumulated gradients and resuming: each
 * combination trains, or says by a typed error why not. Nothing is silently left out.
 *
 * A new method is one line of METHODS, a new transformer one of TRANSFORMERS.
 */
import {
  FlatloraError,
  flatten,
  floats,
  type HostArray,
  ints,
  key,
  type Loss,
  orThrow,
  treeMap,
} from '../../src/autodiff/index.js';
import {
  decodeTrainingState,
  encodeTrainingState,
  matchTrainingState,
} from '../../src/checkpoints/index.js';
import {
  type AdapterMethod,
  adaLora,
  adapt,
  biLora,
  corda,
  dora,
  efmLora,
  flat,
  fmLora,
  fullFineTuning,
  galore,
  ggpo,
  lora,
  loraGa,
  loraPlus,
  loraPro,
  lpfSgd,
  mgpo,
  nbar,
  obar,
  pissa,
  rslora,
  sam,
} from '../../src/flatlora/index.js';
import { download, referenceBackend } from '../../src/kernels/index.js';
import { adamW, chain, clipByGlobalNorm } from '../../src/optimisers/index.js';
import { type DeviceState, stepPrograms } from '../../src/training/programs.js';
import { initialState } from '../../src/training/step.js';
import { toNumbers } from '../support/numeric.js';
import { gaussian, initNetwork, makeBatch, networkLoss, seeded } from './support.js';

type AnyMethod = AdapterMethod<unknown>;
type AnyLoss = Loss<unknown, unknown>;

const base = initNetwork(31);
const LAYERS = ['first', 'second'];
const options = { rank: 2, alpha: 3, targetModules: LAYERS };
const STEPS = 3;

/** One array for each layer, made of its weight's shape. */
const forLayers = (make: (m: number, n: number, i: number) => HostArray) =>
  Object.fromEntries(
    LAYERS.map((name, i) => {
      const [m, n] = base[name as 'first'].weight.shape as [number, number];
      return [`${name}.weight`, make(m, n, i)];
    }),
  );
const gradients = forLayers((m, n, i) => gaussian(seeded(32, i), [m, n]));
const covariances = forLayers((_, n, i) => {
  const x = toNumbers(gaussian(seeded(33, i), [n, 2 * n]));
  const row = (k: number) => x.slice(k * 2 * n, (k + 1) * 2 * n);
  const dot = (a: number[], b: number[]) => a.reduce((s, v, k) => s + v * (b[k] as number), 0);
  return floats(
    Array.from({ length: n * n }, (__, k) => dot(row(Math.floor(k / n)), row(k % n)) / (2 * n)),
    [n, n],
  );
});

const METHODS: Readonly<Record<string, unknown>> = {
  full: fullFineTuning({ targetModules: LAYERS }),
  lora: lora(options),
  rslora: rslora(options),
  'lora+': loraPlus(options),
  'lora-pro': loraPro(options),
  nbar: nbar(options),
  obar: obar(options),
  galore: galore({ rank: 2, gap: 2, targetModules: LAYERS }),
  pissa: pissa(options),
  'lora-ga': loraGa({ ...options, gradients }),
  corda: corda({ ...options, covariances }),
  dora: dora(options),
  adalora: adaLora({ ...options, initialRank: 3 }),
  'bi-lora': biLora({ ...options, auxiliaryRank: 2 }),
  'efm-lora': efmLora(options),
  ggpo: ggpo(options),
  mgpo: mgpo(options),
};

/** Methods whose trained parameters are pairs of A and B and nothing else. */
const PAIRS = 'lora rslora lora+ lora-pro nbar obar pissa lora-ga corda'.split(' ');

interface Transformer {
  readonly apply: (loss: AnyLoss) => AnyLoss;
  /** The methods that it refuses, and the words of the error. */
  readonly refuses?: (method: string) => RegExp | undefined;
}

const TRANSFORMERS: Readonly<Record<string, Transformer>> = {
  flat: { apply: flat({ sigma: 0.3 }) },
  'flat, all': { apply: flat({ sigma: 0.3, on: 'all' }) },
  'flat, factors': { apply: flat({ sigma: 0.3, on: 'factors' }) },
  'flat, antithetic': { apply: flat({ sigma: 0.3, antithetic: true }) },
  'flat, bfloat16': { apply: flat({ sigma: 0.3, precision: 'bfloat16' }) },
  'lpf-sgd': { apply: lpfSgd({ gamma: 0.01 }) },
  'sam, factors': { apply: sam({ rho: 0.1 }) },
  'sam, weights': { apply: sam({ over: 'weights', rho: 0.1 }) },
  'sam after flat': { apply: (loss) => sam({ rho: 0.1 })(flat({ sigma: 0.3 })(loss)) },
  'fm-lora': {
    apply: fmLora({ rho: 0.1, scale: 1.5 }),
    refuses: (method) => (PAIRS.includes(method) ? undefined : /^fmLora: .*expected a \[r,n\]/),
  },
};

/** Rows of a batch of six. */
const partOf = (from: number, to: number) =>
  treeMap((x: HostArray) => {
    const width = x.shape[1] as number;
    return floats(toNumbers(x).slice(from * width, to * width), [to - from, width]);
  }, makeBatch(34));

const bytesOf = (tree: unknown): number[] => flatten<HostArray>(tree).leaves.flatMap(toNumbers);

/** Three steps of two micro-batches with clipping; the last again from the bytes of a checkpoint. */
async function trained(method: AnyMethod, transformer: (loss: AnyLoss) => AnyLoss) {
  const { adapters, base: frozen } = orThrow(method.init(base, key(7)));
  const loss = transformer(adapt(frozen, method)(networkLoss as AnyLoss) as AnyLoss);
  const optimiser = chain(
    clipByGlobalNorm(0.5),
    method.optimiser(adamW({ learningRate: 0.02, weightDecay: 0.1 }), { totalSteps: STEPS }),
  );
  const backend = referenceBackend();
  const upload = (tree: unknown) => treeMap((x: HostArray) => backend.upload(x), tree);
  const programs = stepPrograms(loss, optimiser, backend, { totalSteps: STEPS }, 2, adapters);
  const runKey = backend.upload(key(11));
  const losses: number[] = [];
  const go = async (from: unknown, first: number, until: number) => {
    let state = upload(from) as unknown as DeviceState;
    for (let step = first; step < until; step++) {
      const batchOf = (micro: number) => partOf(3 * micro, 3 * micro + 3);
      const { state: next, report } = await programs.step(step, state, batchOf, runKey);
      losses.push((await backend.download(report)).get(0));
      state = next;
    }
    return (await download(backend, state)) as unknown as {
      params: unknown;
      optimiser: readonly unknown[];
    };
  };
  const fresh = initialState(adapters, optimiser);
  const half = await go(fresh, 0, 2);
  const end = await go({ ...half, step: ints([2], []) }, 2, STEPS);

  const saved = { params: half.params, optimiser: half.optimiser, step: 2, runKey: key(11) };
  const bytes = orThrow(encodeTrainingState(saved, {}));
  const found = orThrow(
    matchTrainingState(orThrow(decodeTrainingState(bytes)), { ...saved, ...fresh, step: 0 }, {}),
  );
  const resumed = await go(
    { params: found.params, optimiser: found.optimiser, step: ints([2], []) },
    2,
    STEPS,
  );
  await programs.dispose();
  return {
    losses,
    start: bytesOf(adapters),
    end: bytesOf({ params: end.params, optimiser: end.optimiser }),
    resumed: bytesOf({ params: resumed.params, optimiser: resumed.optimiser }),
    params: bytesOf(end.params),
    merged: bytesOf(orThrow(method.merge(frozen, end.params as never))),
  };
}

describe.each(Object.keys(METHODS))('%s', (name) => {
  const method = METHODS[name] as AnyMethod;
  let plain: Awaited<ReturnType<typeof trained>>;
  beforeAll(async () => {
    plain = await trained(method, (loss) => loss);
  });

  test('alone', () => {
    expect(plain.losses.every(Number.isFinite)).toBe(true);
    expect(plain.params).not.toEqual(plain.start);
    expect(plain.resumed).toEqual(plain.end);
  });

  test.each(Object.keys(TRANSFORMERS))('with %s', async (by) => {
    const { apply, refuses } = TRANSFORMERS[by] as Transformer;
    const refusal = refuses?.(name);
    if (refusal !== undefined) {
      await expect(trained(method, apply)).rejects.toThrow(FlatloraError);
      await expect(trained(method, apply)).rejects.toThrow(refusal);
      return;
    }
    const run = await trained(method, apply);
    expect(run.losses.every(Number.isFinite)).toBe(true);
    expect(run.merged.every(Number.isFinite)).toBe(true);
    // It does something: training ends elsewhere than without it.
    expect(run.params).not.toEqual(plain.params);
    expect(run.params).not.toEqual(run.start);
    expect(run.resumed).toEqual(run.end);
  });
});
