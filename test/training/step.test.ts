import fc from 'fast-check';
import {
  add,
  evaluationContext,
  floats,
  foldIn,
  type HostArray,
  ints,
  key,
  type Loss,
  type LossTransformer,
  lift,
  log,
  lossTransformerMonoid,
  mul,
  normal,
  reduceSum,
  split,
  square,
  type Value,
} from '../../src/autodiff/index.js';
import { compile, download, evaluate, referenceBackend } from '../../src/kernels/index.js';
import { adamW, sgd } from '../../src/optimisers/index.js';
import {
  accumulateGradient,
  applyAccumulated,
  emptyAccumulator,
  initialState,
  type StepState,
  takeRows,
  trainingContext,
  trainStep,
} from '../../src/training/index.js';
import { relativeError, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import { type Net, plainLoss, toyExamples, toyParams } from './support/toy.js';

type HostState = StepState<Net<HostArray>, HostArray>;

const flat = ({ params }: HostState): number[] => [
  ...toNumbers(params.first),
  ...toNumbers(params.second),
];

describe('keys of a step', () => {
  const keysAt = async (step: number, micro: number) => {
    const keys = await evaluate(
      (run: Value, at: Value) => {
        const { stepKey, sampleKey } = trainingContext(run, at, micro, { totalSteps: 10 });
        return [stepKey, sampleKey];
      },
      referenceBackend(),
      key(5),
      ints([step], []),
    );
    return (keys as unknown as HostArray[]).map((k) => toNumbers(k).join());
  };

  test('the step key is number t of the run key, the same for all micro-batches', async () => {
    const [stepKey, sampleKey] = await keysAt(3, 0);
    expect(stepKey).toBe(foldIn(key(5), 3).data.join());
    const [other, otherSample] = await keysAt(3, 1);
    expect(other).toBe(stepKey);
    expect(otherSample).not.toBe(sampleKey);
  });

  test('no key meets another, nor one derived from a step key', async () => {
    const seen: (string | undefined)[] = [];
    for (let step = 0; step < 5; step++) {
      const stepKey = foldIn(key(5), step);
      seen.push(...[0, 1, 2].map((n) => foldIn(stepKey, n).data.join()));
      seen.push(...split(stepKey, 3).map((k) => k.data.join()));
      for (let micro = 0; micro < 3; micro++) seen.push((await keysAt(step, micro))[1]);
      seen.push(stepKey.data.join());
    }
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('progress is t/T and stays at 1', async () => {
    const progress = await evaluate(
      (run: Value) =>
        [0, 5, 10, 12].map(
          (t) => trainingContext(run, lift(t, 'int'), 0, { totalSteps: 10 }).progress,
        ),
      referenceBackend(),
      key(0),
    );
    expect((progress as unknown as HostArray[]).map((x) => x.get())).toEqual([0, 0.5, 1, 1]);
  });
});

/** A loss that is noisy by step but not by sample, so that parts and wholes can be compared. */
const noisyByStep: typeof plainLoss = (params, batch, context) =>
  plainLoss(
    { ...params, first: add(params.first, mul(0.1, normal(context.stepKey, params.first.shape))) },
    batch,
    context,
  );

describe('accumulation', () => {
  test('k parts give the gradient, loss and update of the whole batch', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(1000),
        async (parts, size, seed) => {
          const backend = referenceBackend();
          const options = { totalSteps: 10 };
          const optimiser = adamW({ learningRate: 0.1 });
          const rows = Array.from({ length: parts * size }, (_, i) => (seed + i) % 23);
          const start = initialState(toyParams(), optimiser);
          const whole = (await evaluate(
            trainStep(noisyByStep, optimiser, options),
            backend,
            start,
            takeRows(toyExamples(), rows),
            key(seed),
          )) as unknown as { state: HostState; loss: HostArray; gradientNorm: HostArray };
          const accumulate = compile(accumulateGradient(noisyByStep, options), backend);
          let sums: unknown = emptyAccumulator(toyParams());
          for (let m = 0; m < parts; m++) {
            const part = takeRows(toyExamples(), rows.slice(m * size, (m + 1) * size));
            const { params, step } = start;
            sums = await accumulate(sums, { params, step }, part, key(seed), ints([m], []));
          }
          const apply = compile(applyAccumulated<Net<Value>>(optimiser, parts), backend);
          const result = (await download(
            backend,
            await apply(start, sums),
          )) as unknown as typeof whole;
          expect(relativeError(flat(result.state), flat(whole.state))).toBeLessThan(1e-9);
          expect(relativeError([...result.loss.data], [...whole.loss.data])).toBeLessThan(1e-12);
          expect(
            relativeError([...result.gradientNorm.data], [...whole.gradientNorm.data]),
          ).toBeLessThan(1e-12);
          // One update, whatever the number of parts.
          expect(result.state.step.get()).toBe(1);
        },
      ),
      { numRuns: runs(15) },
    );
  });
});

describe('a step that is not finite', () => {
  /** ln of the data: NaN for negative, −∞ for zero. */
  const loss: Loss<{ w: Value }, Value> = ({ w }, x) => reduceSum(mul(square(w), log(x)));
  const optimiser = sgd({ learningRate: 0.1, momentum: 0.9 });

  test.each([[-1], [0], [1e-300, -2]])('changes nothing but the step number: %j', async (...xs) => {
    const backend = referenceBackend();
    const step = compile(trainStep(loss, optimiser, { totalSteps: 9 }), backend, { donate: [0] });
    const good = floats([2, 3].slice(0, xs.length));
    const w = floats(xs.map(() => 1.5));
    const first = await step(initialState({ w }, optimiser), good, key(1));
    const before = JSON.stringify(await download(backend, { ...first.state, step: undefined }));
    const bad = await step(first.state, floats(xs), key(1));
    const stuck = await step(bad.state, good, key(1));
    const { state } = (await download(backend, stuck)) as unknown as { state: HostState };
    expect(state.step.get()).toBe(-2);
    expect(JSON.stringify({ ...state, step: undefined })).toBe(before);
  });
});

describe('loss transformers', () => {
  type T = LossTransformer<{ w: Value }, Value>;
  const scaled =
    (factor: number): T =>
    (loss) =>
    (...args) =>
      mul(factor, loss(...args));
  const shifted =
    (by: number): T =>
    (loss) =>
    (...args) =>
      add(by, loss(...args));
  const base: Loss<{ w: Value }, Value> = ({ w }, x) => reduceSum(mul(w, x));
  const at = async (transformer: T): Promise<number> => {
    const loss = await evaluate(
      (w: Value, x: Value) => transformer(base)({ w }, x, evaluationContext()),
      referenceBackend(),
      floats([1, 2]),
      floats([3, 4]),
    );
    return (loss as unknown as HostArray).get() as number;
  };

  test('are a monoid in which the first applies first', async () => {
    const { concat, empty } = lossTransformerMonoid<{ w: Value }, Value>();
    const [f, g, h] = [scaled(2), shifted(5), scaled(-3)];
    expect(await at(concat(f, g))).toBe(27);
    expect(await at(concat(g, f))).toBe(32);
    expect(await at(concat(concat(f, g), h))).toBe(await at(concat(f, concat(g, h))));
    expect(await at(concat(empty, f))).toBe(await at(f));
    expect(await at(concat(f, empty))).toBe(await at(f));
  });

  test('the evaluation context is no training and changes no weight', () => {
    const context = evaluationContext();
    const w = lift(floats([1]));
    expect(context.training).toBe(false);
    expect(context.weight(w, 'w', 'adapted')).toBe(w);
    expect(context.vector(w, 'w')).toBe(w);
  });
});
