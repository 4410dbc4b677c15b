import fc from 'fast-check';
import {
  add,
  dot,
  floats,
  type HostArray,
  key,
  lift,
  mul,
  pow,
  reduceSum,
  reshape,
  sliceAxis,
  type Value,
} from '../../src/autodiff/index.js';
import { compile, download, evaluate, referenceBackend } from '../../src/kernels/index.js';
import {
  adamW,
  chain,
  clipByGlobalNorm,
  type GradientTransformation,
  gradientTransformationMonoid,
  type OptimiserState,
  scaleByMultipliers,
  sgd,
} from '../../src/optimisers/index.js';
import { initialState, trainStep } from '../../src/training/index.js';
import { type TestBackend, testBackends } from '../support/backends.js';
import { relativeError, toNumbers } from '../support/numeric.js';
import { readTorchFixture } from '../support/torchFixtures.js';
import { runs } from '../tooling/property.js';

interface Trajectory {
  readonly name: string;
  readonly attrs: {
    readonly lr: number;
    readonly betas?: readonly [number, number];
    readonly eps?: number;
    readonly weight_decay?: number;
    readonly momentum?: number;
    readonly nesterov?: boolean;
  };
  readonly inputs: Readonly<Record<'H' | 'c' | 'w0' | 'u0', HostArray>>;
  readonly w: HostArray;
  readonly u: HostArray;
  readonly loss: HostArray | readonly number[];
}

interface Weights {
  readonly w: Value;
  readonly u: Value;
}

/** f(w, u) = ½ wᵀHw − cᵀw + Σ u⁴/4 + w₀ u₁, the fixtures' objective. */
const objective = ({ w, u }: Weights, { H, c }: { H: Value; c: Value }) => {
  const Hw = dot(H, w, { contract: [[1], [0]], batch: [[], []] });
  const scalarAt = (x: Value, i: number) => reshape(sliceAxis(x, 0, i, i + 1), []);
  return [
    mul(0.5, reduceSum(mul(w, Hw))),
    mul(-1, reduceSum(mul(c, w))),
    mul(0.25, reduceSum(pow(u, 4))),
    mul(scalarAt(w, 0), scalarAt(u, 1)),
  ].reduce((a, b) => add(a, b));
};

async function follow(
  { inputs, w, u, loss }: Trajectory,
  optimiser: GradientTransformation,
  open: TestBackend['open'],
): Promise<number> {
  const backend = await open();
  const step = compile(trainStep(objective, optimiser, { totalSteps: 20 }), backend, {
    donate: [0],
  });
  const { H, c, w0, u0 } = inputs;
  let state: unknown = initialState({ w: w0, u: u0 }, optimiser);
  const [ws, us] = [[...toNumbers(w0)], [...toNumbers(u0)]];
  const losses: number[] = [];
  const steps = (w.shape[0] as number) - 1;
  for (let i = 0; i < steps; i++) {
    const result = await step(state, { H, c }, key(1));
    state = result.state;
    const at = (await download(backend, result)) as unknown as {
      state: { params: { w: HostArray; u: HostArray } };
      loss: HostArray;
    };
    ws.push(...toNumbers(at.state.params.w));
    us.push(...toNumbers(at.state.params.u));
    losses.push(...toNumbers(at.loss));
  }
  await step.dispose();
  await backend.dispose();
  const expected = Array.isArray(loss) ? loss : toNumbers(loss as HostArray);
  return Math.max(
    relativeError(ws, toNumbers(w)),
    relativeError(us, toNumbers(u)),
    relativeError(losses, expected.slice(0, steps)),
  );
}

describe.each(testBackends().map((b) => [b.name, b] as const))(
  'trajectories of torch.optim on %s',
  (_, { open, tolerance }) => {
    test.each(readTorchFixture<Trajectory>('adamw').cases.map((c) => [c.name, c] as const))(
      'adamw %s',
      async (__, c) => {
        const { lr, betas, eps, weight_decay } = c.attrs;
        const [beta1, beta2] = betas as readonly [number, number];
        const optimiser = adamW({
          learningRate: lr,
          beta1,
          beta2,
          epsilon: eps as number,
          weightDecay: weight_decay as number,
        });
        expect(await follow(c, optimiser, open)).toBeLessThan(tolerance);
      },
    );

    test.each(readTorchFixture<Trajectory>('sgd').cases.map((c) => [c.name, c] as const))(
      'sgd %s',
      async (__, c) => {
        const { lr, momentum = 0, nesterov = false, weight_decay = 0 } = c.attrs;
        const optimiser = sgd({ learningRate: lr, momentum, nesterov, weightDecay: weight_decay });
        expect(await follow(c, optimiser, open)).toBeLessThan(tolerance);
      },
    );
  },
);

type Arrays = Readonly<Record<string, HostArray>>;

/** Updates and state of one transformation, on the host. */
async function once(
  t: GradientTransformation,
  gradients: Arrays,
  params: Arrays,
  state: OptimiserState = t.init(params),
) {
  const result = await evaluate(
    (g: Record<string, Value>, s: OptimiserState, p: Record<string, Value>) =>
      t.update(g, s, p, { step: lift(3, 'int'), refresh: false }),
    referenceBackend(),
    gradients,
    state,
    params,
  );
  return JSON.stringify(result);
}

interface ClipCase {
  readonly name: string;
  readonly attrs: { readonly max_norm: number; readonly norm_type: number };
  readonly inputs: Arrays;
  readonly outputs: Arrays;
}

describe('clipByGlobalNorm', () => {
  const cases = readTorchFixture<ClipCase>('clip_grad_norm').cases.filter(
    ({ attrs }) => attrs.norm_type === 2,
  );
  describe.each(testBackends().map((b) => [b.name, b] as const))('%s', (_, b) => {
    test.each(cases.map((c) => [c.name, c] as const))('torch: %s', async (__, c) => {
      const backend = await b.open();
      const clipped = (await evaluate(
        (g: Record<string, Value>) =>
          clipByGlobalNorm(c.attrs.max_norm).update(g, [], g, {
            step: lift(0, 'int'),
            refresh: false,
          }).updates,
        backend,
        c.inputs,
      )) as unknown as Arrays;
      await backend.dispose();
      for (const [name, expected] of Object.entries(c.outputs)) {
        const given = clipped[name] as HostArray;
        expect(relativeError(toNumbers(given), toNumbers(expected))).toBeLessThan(b.tolerance);
      }
    });
  });

  test('has cases', () => {
    expect(cases.length).toBeGreaterThan(1);
  });
});

describe('chains', () => {
  const { concat, empty } = gradientTransformationMonoid;
  const transformation = fc.constantFrom<GradientTransformation>(
    clipByGlobalNorm(0.5),
    scaleByMultipliers((path) => (path === 'a' ? 2 : 1)),
    sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true }),
    adamW({ learningRate: 0.3, weightDecay: 0.1 }),
    empty,
  );
  const numbers = (n: number) =>
    fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: n, maxLength: n });
  const tree = fc
    .tuple(numbers(2), numbers(3))
    .map(([a, b]): Arrays => ({ a: floats(a), b: floats(b) }));

  test('are a monoid, states included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(transformation, transformation, transformation),
        tree,
        tree,
        async ([f, g, h], gradients, params) => {
          const left = await once(concat(concat(f, g), h), gradients, params);
          expect(await once(concat(f, concat(g, h)), gradients, params)).toEqual(left);
          expect(await once(chain(f, g, h), gradients, params)).toEqual(left);
          const alone = await once(f, gradients, params);
          expect(await once(concat(empty, f), gradients, params)).toEqual(alone);
          expect(await once(concat(f, empty), gradients, params)).toEqual(alone);
        },
      ),
      { numRuns: runs(30) },
    );
  });

  test('order matters: clipping after scaling is another chain', async () => {
    const [clip, twice] = [clipByGlobalNorm(0.5), scaleByMultipliers(() => 2)];
    const g = { a: floats([3, 4]) };
    expect(await once(chain(clip, twice), g, g)).not.toEqual(await once(chain(twice, clip), g, g));
  });

  test('multipliers scale one parameter and freeze another', async () => {
    const t = chain(
      sgd({ learningRate: 0.5 }),
      scaleByMultipliers((path) => (path === 'x.B' ? 16 : path === 'x.frozen' ? 0 : 1)),
    );
    const ones = { x: { A: floats([1]), B: floats([1]), frozen: floats([1]) } };
    const { updates } = (await evaluate(
      (g: { x: Record<string, Value> }) =>
        t.update(g, [], g, { step: lift(0, 'int'), refresh: false }),
      referenceBackend(),
      ones,
    )) as unknown as { updates: { x: Arrays } };
    expect(Object.values(updates.x).map((x) => x.get(0) + 0)).toEqual([-0.5, -8, 0]);
  });
});

describe('AdamW', () => {
  test('shrinks only what decays', async () => {
    const optimiser = adamW({ learningRate: 0.1, weightDecay: 0.5, decays: (p) => p !== 'bias' });
    const params = { bias: floats([2]), weight: floats([2]) };
    const zero = { bias: floats([0]), weight: floats([0]) };
    const { updates } = (await evaluate(
      (g: Record<string, Value>, s: OptimiserState, p: Record<string, Value>) =>
        optimiser.update(g, s, p, { step: lift(0, 'int'), refresh: false }),
      referenceBackend(),
      zero,
      optimiser.init(params),
      params,
    )) as unknown as { updates: Arrays };
    expect(updates.bias?.get(0)).toBeCloseTo(0, 15);
    expect(updates.weight?.get(0)).toBeCloseTo(-0.1 * 0.5 * 2, 15);
  });

  test.each([
    [{ learningRate: 0.1, beta1: 1 }, 'adamW: beta1 is 1'],
    [{ learningRate: 0.1, epsilon: -1 }, 'adamW: epsilon is -1'],
    [{ learningRate: Number.NaN }, 'constantSchedule: value is NaN'],
  ])('refuses %j', (options, message) => {
    expect(() => adamW(options)).toThrow(message);
  });
});
