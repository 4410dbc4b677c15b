/** Trajectories of AdaLoRA and of the rivals, against independent ones (`scripts/fixtures/rivals.py`). */
import {
  add,
  asOperator,
  convert,
  type HostArray,
  ints,
  key,
  type Loss,
  mean,
  select,
  square,
  sub,
  tanh,
  type Value,
  type Weight,
} from '../../../src/autodiff/index.js';
import {
  type AdapterMethod,
  adaLora,
  adaLoraRanks,
  adapt,
  biLora,
  efmLora,
  fmLora,
  ggpo,
  lora,
  mgpo,
} from '../../../src/flatlora/index.js';
import { best, budgetAt } from '../../../src/flatlora/methods/rankBudget.js';
import { compile, download, referenceBackend, wasmBackend } from '../../../src/kernels/index.js';
import { adamW, sgd } from '../../../src/optimisers/index.js';
import { initialState, trainStep } from '../../../src/training/index.js';
import { floats, numbers, relativeError, toNumbers } from '../../support/numeric.js';
import { readTorchFixture } from '../../support/torchFixtures.js';

type Named<A> = Readonly<Record<string, A>>;
type Tree = Named<Named<HostArray>>;

interface Trajectory {
  readonly name: string;
  readonly method: string;
  readonly optimiser: 'sgd' | 'adamw';
  readonly start: string;
  // biome-ignore lint/suspicious/noExplicitAny: each method has options of its own.
  readonly attrs: Named<any>;
  readonly losses: readonly number[];
  readonly afterLast: Named<HostArray>;
}

interface File {
  readonly rank: number;
  readonly alpha: number;
  readonly steps: number;
  readonly problem: Named<HostArray> & { readonly w: Tree[string]; readonly bias: Tree[string] };
  readonly starts: Named<Named<HostArray>>;
  readonly cases: readonly Trajectory[];
  readonly ggpoNorms: Named<HostArray>;
}

const file = readTorchFixture('rivals') as unknown as File;
const { rank, alpha, steps, problem } = file;
const LAYERS = ['first', 'second', 'third'];
const options = { rank, alpha, targetModules: LAYERS };
const batch = { x: problem.x, y: problem.y };
const base = Object.fromEntries(
  LAYERS.map((n) => [n, { weight: problem.w[n], bias: problem.bias[n] }]),
);

const squaredError = ((weights: Named<{ weight: Weight; bias: Value }>, { x, y }: Named<Value>) => {
  const layer = (n: string, h: Value) => {
    const { weight, bias } = weights[n] as { weight: Weight; bias: Value };
    return add(asOperator(weight).apply(h), bias);
  };
  const h = tanh(layer('second', tanh(layer('first', x as Value))));
  return mean(square(sub(layer('third', h), y as Value)));
}) as unknown as Loss<unknown, unknown>;

/** Arrays by `first.a` as the adapters' tree; auxiliary arrays that are not given are zeros. */
const treeOf = (arrays: Named<HostArray>, zeros: Named<HostArray> = {}): Tree => {
  const tree: Record<string, Record<string, HostArray>> = {};
  for (const [name, x] of [...Object.entries(zeros), ...Object.entries(arrays)]) {
    const [layer, part] = name.split('.') as [string, string];
    tree[`${layer}.weight`] = { ...tree[`${layer}.weight`], [part]: x };
  }
  return tree;
};

const zerosLike = (arrays: Named<HostArray>): Named<HostArray> =>
  Object.fromEntries(
    Object.entries(arrays)
      .filter(([name]) => name.includes('auxiliary'))
      .map(([name, x]) => [name, floats(new Array(x.size).fill(0), x.shape)]),
  );

interface Training {
  readonly method: AdapterMethod<unknown>;
  readonly objective?: (loss: Loss<unknown, unknown>) => Loss<unknown, unknown>;
}

/** The damping is ours; near zero the pseudo-inverses of the fixture's full-rank factors are exact. */
const exact = (onReference: boolean) => (onReference ? { damping: 1e-14 } : {});

function training({ method, attrs }: Trajectory, onReference: boolean): Training {
  const as = (m: unknown) => m as AdapterMethod<unknown>;
  const { rho, beta, momentum } = attrs;
  switch (method) {
    case 'adalora':
      return {
        method: as(
          adaLora({ ...options, initialRank: 3, initialSteps: 1, finalSteps: 3, interval: 2 }),
        ),
      };
    case 'bi-lora':
      return { method: as(biLora({ ...options, rho, auxiliaryRank: 3 })) };
    case 'efm-lora':
      return { method: as(efmLora({ ...options, rho, beta, ...exact(onReference) })) };
    case 'fm-lora':
      return {
        method: as(lora(options)),
        objective: fmLora({ rho, scale: alpha / rank, ...exact(onReference) }),
      };
    case 'mgpo':
      return { method: as(mgpo({ ...options, rho, beta, momentum })) };
    default:
      throw new Error(`no method ${method}`);
  }
}

async function trajectory(c: Trajectory, onReference: boolean) {
  const { method, objective = (l) => l } = training(c, onReference);
  const inner = c.optimiser === 'sgd' ? sgd({ learningRate: 0.2 }) : adamW({ learningRate: 0.05 });
  const optimiser = method.optimiser(inner, { totalSteps: steps });
  const loss = objective(adapt(base, method)(squaredError) as Loss<unknown, unknown>);
  const backend = onReference ? referenceBackend() : await wasmBackend({ threads: 1 });
  const program = compile(trainStep(loss, optimiser, { totalSteps: steps }), backend);
  const start = treeOf(file.starts[c.start] as Named<HostArray>, zerosLike(c.afterLast));
  let state: unknown = initialState(start, optimiser);
  const losses: number[] = [];
  let params: Tree = {};
  for (let step = 0; step < steps; step++) {
    const result = await program(state as never, batch, key(1));
    const host = (await download(backend, result)) as unknown as {
      loss: HostArray;
      state: { params: Tree };
    };
    losses.push(host.loss.get());
    params = host.state.params;
    state = host.state;
  }
  await program.dispose();
  await backend.dispose();
  return { losses, params };
}

describe.each([
  ['reference', true, 1e-9],
  ['wasm', false, 2e-4],
] as const)('trajectories on %s', (_, onReference, tolerance) => {
  test.each(file.cases.map((c) => [c.name, c] as const))('%s', async (__, c) => {
    const { losses, params } = await trajectory(c, onReference);
    expect(relativeError(losses, c.losses)).toBeLessThan(tolerance);
    const expected = treeOf(c.afterLast);
    for (const [path, layer] of Object.entries(expected)) {
      for (const [part, x] of Object.entries(layer)) {
        const given = toNumbers(params[path]?.[part] as HostArray);
        expect([part, relativeError(given, toNumbers(x)) < tolerance]).toEqual([part, true]);
      }
    }
    if (c.method === 'adalora') {
      const left = Object.values(adaLoraRanks(params as never)).reduce((n, r) => n + r, 0);
      expect(left).toBe(rank * LAYERS.length);
    }
  });
});

test('GGPO keeps the row norms of s(∂B·A + B·∂A), taken under its noise', async () => {
  // With next to no noise the gradient is that of the fixture.
  const method = ggpo({ ...options, sigma: 1e-12, beta: 1e-12 }) as AdapterMethod<unknown>;
  const optimiser = method.optimiser(sgd({ learningRate: 0.1 }), { totalSteps: steps });
  const start = Object.fromEntries(
    Object.entries(treeOf(file.starts.trained as Named<HostArray>)).map(([path, { a, b }]) => {
      const m = (b as HostArray).shape[0] as number;
      return [path, { a, b, auxiliaryNorms: floats(new Array(m).fill(0), [m]) }];
    }),
  );
  const loss = adapt(base, method)(squaredError) as Loss<unknown, unknown>;
  const backend = referenceBackend();
  const program = compile(trainStep(loss, optimiser, { totalSteps: steps }), backend);
  const { state } = (await program(
    initialState(start, optimiser) as never,
    batch,
    key(1),
  )) as unknown as { state: { params: Tree } };
  const params = (await download(backend, state.params)) as unknown as Tree;
  for (const n of LAYERS) {
    const given = toNumbers(params[`${n}.weight`]?.auxiliaryNorms as HostArray);
    expect(relativeError(given, toNumbers(file.ggpoNorms[n] as HostArray))).toBeLessThan(1e-8);
  }
  await program.dispose();
});

describe("AdaLoRA's allocator", () => {
  test('the budget is that of the reference at every step', () => {
    const { budgets } = (file.cases[0] as Trajectory).attrs as { budgets: number[] };
    const timetable = { initialSteps: 1, finalSteps: 3, interval: 2, totalSteps: steps };
    const at = (step: number) =>
      numbers((t: Value) => budgetAt(t, timetable, 9, 6).directions, ints([step], []))[0];
    expect(budgets.map((_, t) => at(t))).toEqual(budgets);
    // And where a cube of thirds would fall below the whole number that is meant.
    const long = { initialSteps: 10, finalSteps: 20, interval: 1, totalSteps: 90 };
    for (let t = 11; t <= 70; t++) {
      const expected = Math.floor(16 + 8 * (1 - (t - 10) / 60) ** 3 + 1e-9);
      const given = numbers((s: Value) => budgetAt(s, long, 24, 16).directions, ints([t], []))[0];
      expect([t, given]).toEqual([t, expected]);
    }
  });

  test('is applied every ΔT steps between, and after each of the last', () => {
    const applied = (interval: number) => {
      const timetable = { initialSteps: 2, finalSteps: 3, interval, totalSteps: 12 };
      const when = (t: Value) => select(budgetAt(t, timetable, 9, 6).applies, 1, 0);
      return Array.from({ length: 12 }, (_, t) => t).filter(
        (t) => numbers(when, ints([t], []))[0] === 1,
      );
    };
    expect(applied(1)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(applied(2)).toEqual([4, 6, 8, 10, 11]);
    expect(applied(5)).toEqual([5, 10, 11]);
  });

  test('of equal scores the first stay; the budget is never exceeded', () => {
    const kept = (budget: number) =>
      numbers(
        (s: Value, r: Value) => add(...(best([s, r], convert(budget, 'float')) as [Value, Value])),
        floats([1, 3, 2], [3]),
        floats([2, 3, 0], [3]),
      );
    // Greatest first: s₁ = 3, r₁ = 3, s₂ = 2, r₀ = 2, s₀ = 1, r₂ = 0; sums of both layers' masks.
    expect(kept(0)).toEqual([0, 0, 0]);
    expect(kept(2)).toEqual([0, 2, 0]);
    expect(kept(3)).toEqual([0, 2, 1]);
    expect(kept(5)).toEqual([2, 2, 1]);
  });

  test('a timetable that does not fit the run is an error', () => {
    const method = adaLora({ ...options, initialRank: 3, initialSteps: 4, finalSteps: 6 });
    expect(() => method.optimiser(sgd({ learningRate: 1 }), { totalSteps: 10 })).toThrow(
      /sum below totalSteps = 10/,
    );
  });
});
