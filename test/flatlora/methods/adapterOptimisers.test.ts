/** Trajectories of methods that change the optimiser, against independent ones (see the script). */
import {
  add,
  asOperator,
  type HostArray,
  key,
  type Loss,
  mean,
  square,
  sub,
  tanh,
  type Value,
  type Weight,
} from '../../../src/autodiff/index.js';
import {
  type AdapterMethod,
  adapt,
  galore,
  loraPlus,
  loraPro,
  nbar,
  obar,
  rslora,
} from '../../../src/flatlora/index.js';
import { compile, download, referenceBackend, wasmBackend } from '../../../src/kernels/index.js';
import {
  adamW,
  cosineSchedule,
  type GradientTransformation,
  sgd,
} from '../../../src/optimisers/index.js';
import { initialState, trainStep } from '../../../src/training/index.js';
import { relativeError, toNumbers } from '../../support/numeric.js';
import { readTorchFixture } from '../../support/torchFixtures.js';

type Named<A> = Readonly<Record<string, A>>;

interface Trajectory {
  readonly name: string;
  readonly method: string;
  // biome-ignore lint/suspicious/noExplicitAny: each method has options of its own.
  readonly attrs: Named<any>;
  /** One of the file's starts, or the weights themselves. */
  readonly start: string;
  readonly losses: readonly number[];
  readonly afterLast: Named<HostArray>;
}

interface File {
  readonly rank: number;
  readonly alpha: number;
  readonly problem: {
    readonly w: Named<HostArray>;
    readonly bias: Named<HostArray>;
    readonly x: HostArray;
    readonly y: HostArray;
  };
  readonly starts: Named<Named<HostArray>>;
  readonly cases: readonly Trajectory[];
}

const file = readTorchFixture('adapter_optimisers') as unknown as File;
const { rank, alpha, problem } = file;
const LAYERS = ['first', 'second', 'third'];
const TOTAL_STEPS = 7;

type Layers<M, V> = Readonly<Record<string, { readonly weight: M; readonly bias: V }>>;

const base: Layers<HostArray, HostArray> = Object.fromEntries(
  LAYERS.map((n) => [n, { weight: problem.w[n] as HostArray, bias: problem.bias[n] as HostArray }]),
);

const loss: Loss<Layers<Weight, Value>, { x: Value; y: Value }> = (weights, { x, y }) => {
  const layer = (n: string, h: Value) =>
    add(
      asOperator((weights[n] as { weight: Weight }).weight).apply(h),
      (weights[n] as { bias: Value }).bias,
    );
  const h = tanh(layer('second', tanh(layer('first', x))));
  return mean(square(sub(layer('third', h), y)));
};

/** Method and optimiser of a case. */
function training({ method, attrs }: Trajectory): {
  readonly method: AdapterMethod<unknown>;
  readonly inner: GradientTransformation;
} {
  const options = { rank, alpha, targetModules: LAYERS };
  const { rate, peak, decay, inner, moments, strength, ratio, gap, scale } = attrs;
  const as = (made: unknown, optimiser: GradientTransformation) => ({
    method: made as AdapterMethod<unknown>,
    inner: optimiser,
  });
  const adam = adamW({ learningRate: rate ?? 0.02, weightDecay: decay ?? 0.1 });
  const cosine = adamW({
    learningRate: cosineSchedule(peak ?? 1, { totalSteps: TOTAL_STEPS }),
    weightDecay: decay ?? 0,
  });
  switch (method) {
    case 'lora-pro':
      return as(
        loraPro({ ...options, moments }),
        inner === 'sgd' ? sgd({ learningRate: rate }) : adam,
      );
    case 'nbar':
      return as(nbar({ ...options, strength }), cosine);
    case 'obar':
      return as(obar({ ...options, strength }), cosine);
    case 'lora+':
      return as(loraPlus({ ...options, ratio }), adam);
    case 'rslora':
      return as(rslora(options), adam);
    case 'galore':
      return as(galore({ rank, gap, scale }), adam);
    default:
      throw new Error(`no method ${method}`);
  }
}

/** `first.weight` and its parts as the fixture names them. */
const named = (tree: unknown): Named<HostArray> =>
  Object.fromEntries(
    Object.entries(tree as Readonly<Record<string, Named<HostArray>>>).flatMap(([path, parts]) =>
      Object.entries(parts).map(([part, x]) => [`${path.replace(/\.weight$/, '')}.${part}`, x]),
    ),
  );

const distance = (given: unknown, expected: Named<HostArray>): number => {
  const found = named(given);
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  return Math.max(
    ...Object.entries(expected).map(([n, x]) =>
      relativeError(toNumbers(found[n] as HostArray), toNumbers(x)),
    ),
  );
};

const startOf = ({ start }: Trajectory): unknown => {
  const given = file.starts[start];
  return given === undefined
    ? base
    : Object.fromEntries(
        LAYERS.map((n) => [`${n}.weight`, { a: given[`${n}.a`], b: given[`${n}.b`] }]),
      );
};

describe.each([
  ['reference', async () => referenceBackend(), 1e-10],
  ['wasm', () => wasmBackend({ threads: 1 }), 1e-5],
] as const)('trajectories on %s', (_, open, tolerance) => {
  test.each(file.cases.map((c) => [`${c.method}: ${c.name}`, c] as const))('%s', async (__, c) => {
    const { method, inner } = training(c);
    const optimiser = method.optimiser(inner, { totalSteps: TOTAL_STEPS });
    const adapted = adapt(base, method)(loss as never) as Loss<unknown, unknown>;
    const backend = await open();
    const kinds = [false, true].map((refresh) =>
      compile(trainStep(adapted, optimiser, { totalSteps: TOTAL_STEPS, refresh }), backend, {
        donate: [0],
      }),
    );
    let state: unknown = initialState(startOf(c), optimiser);
    const losses: number[] = [];
    const errors: number[] = [];
    for (let step = 0; step < TOTAL_STEPS; step++) {
      const refreshes = optimiser.refreshEvery !== undefined && step % optimiser.refreshEvery === 0;
      const program = kinds[Number(refreshes)] as NonNullable<(typeof kinds)[0]>;
      const result = await program(state as never, { x: problem.x, y: problem.y }, key(1));
      state = result.state;
      const host = (await download(backend, result)) as unknown as {
        loss: HostArray;
        state: { params: unknown };
      };
      losses.push(host.loss.get());
      if (step === TOTAL_STEPS - 1) errors.push(distance(host.state.params, c.afterLast));
    }
    for (const kind of kinds) await kind.dispose();
    await backend.dispose();
    errors.push(relativeError(losses, c.losses));
    expect(Math.max(...errors)).toBeLessThan(tolerance);
  });
});
