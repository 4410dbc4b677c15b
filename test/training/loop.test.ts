import fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import {
  add,
  checkpoint,
  div,
  exp,
  floats,
  type HostArray,
  key,
  type Loss,
  log,
  mul,
  reduceSum,
  sqrt,
  type Value,
} from '../../src/autodiff/index.js';
import {
  type CheckpointStore,
  decodeTrainingState,
  encodeTrainingState,
  type Json,
  matchTrainingState,
} from '../../src/checkpoints/index.js';
import { download, referenceBackend } from '../../src/kernels/index.js';
import { sgd } from '../../src/optimisers/index.js';
import {
  type TrainingEvent,
  type TrainingOptions,
  type TrainingPlan,
  train,
} from '../../src/training/index.js';
import { testBackends } from '../support/backends.js';
import { runs } from '../tooling/property.js';
import { toyPlan } from './support/toy.js';

/** A store in memory that keeps bytes, as the one on disk does. */
function memoryStore() {
  const saved: { readonly step: number; readonly bytes: Uint8Array }[] = [];
  const store: CheckpointStore = {
    save: (state, configuration) => async () => {
      const encoded = encodeTrainingState(state, configuration);
      if (E.isRight(encoded)) saved.push({ step: state.step, bytes: encoded.right });
      return E.isRight(encoded) ? E.right(undefined) : encoded;
    },
    load: (template, configuration) => {
      const last = saved.at(-1);
      if (last === undefined) return TE.right(O.none);
      return TE.fromEither(
        E.flatMap(decodeTrainingState(last.bytes), (decoded) =>
          E.map((state: typeof template) => O.some({ state, passedOver: [] }))(
            matchTrainingState(decoded, template, configuration),
          ),
        ),
      );
    },
  };
  return { store, saved };
}

const bytesOf = (state: Parameters<typeof encodeTrainingState>[0]): string => {
  const bytes = encodeTrainingState(state, {});
  return E.isRight(bytes) ? Buffer.from(bytes.right).toString('base64') : 'no bytes';
};

describe('a run', () => {
  test('reports every step, evaluates, saves and ends; frees all memory; lowers the loss', async () => {
    const backend = referenceBackend();
    const events: TrainingEvent[] = [];
    const { store, saved } = memoryStore();
    const result = await train(toyPlan(40), backend, {
      observe: (e) => events.push(e),
      checkpoints: { store, every: 15, configuration: {} },
      evaluation: {
        every: 16,
        evaluate: async (params, step) => {
          const { second } = (await download(backend, params)) as { second: HostArray };
          return { step, first: second.get(0, 0) };
        },
      },
    });
    expect(result.reason).toBe('completed');
    expect(result.state.step).toBe(40);
    expect(saved.map((s) => s.step)).toEqual([15, 30, 40]);
    const steps = events.filter((e) => e.kind === 'step');
    expect(steps.map((e) => e.step)).toEqual(Array.from({ length: 40 }, (_, i) => i));
    const losses = steps.map((e) => e.loss);
    const mean = (xs: number[]) => xs.reduce((a, b) => a + b) / xs.length;
    expect(mean(losses.slice(-10))).toBeLessThan(0.9 * mean(losses.slice(0, 10)));
    expect(events.filter((e) => e.kind === 'evaluated').map((e) => e.metrics.step)).toEqual([
      16, 32, 40,
    ]);
    expect(events[0]).toEqual({ kind: 'started', step: 0, totalSteps: 40, passedOver: [] });
    expect(events.at(-1)).toEqual({
      kind: 'finished',
      reason: 'completed',
      step: 40,
      totalSteps: 40,
    });
    expect(backend.memory()).toMatchObject({ buffers: 0, bytes: 0 });
  });

  test('twice gives the same bits; reading less often changes nothing', async () => {
    const a = await train(toyPlan(12), referenceBackend());
    const b = await train(toyPlan(12), referenceBackend());
    const steps: number[] = [];
    const rarely = await train(toyPlan(12), referenceBackend(), {
      readEvery: 5,
      observe: (e) => {
        if (e.kind === 'step') steps.push(e.step);
      },
    });
    expect(bytesOf(b.state)).toBe(bytesOf(a.state));
    expect(bytesOf(rarely.state)).toBe(bytesOf(a.state));
    expect(steps).toEqual(Array.from({ length: 12 }, (_, i) => i));
  });

  test('another run key gives another result', async () => {
    const a = await train(toyPlan(5), referenceBackend());
    const b = await train({ ...toyPlan(5), runKey: key(43) }, referenceBackend());
    expect(bytesOf({ ...b.state, runKey: key(42) })).not.toBe(bytesOf(a.state));
  });

  test('the initial parameters are not written to', async () => {
    const plan = toyPlan(3);
    const before = JSON.stringify(plan.params);
    await train(plan, referenceBackend());
    expect(JSON.stringify(plan.params)).toBe(before);
  });
});

describe('resuming', () => {
  /** Runs until step `stop`, as Ctrl-C there would have it. */
  const interruptedAt = (
    plan: ReturnType<typeof toyPlan>,
    stop: number,
    options: TrainingOptions,
  ) => {
    const controller = new AbortController();
    return train(plan, referenceBackend(), {
      ...options,
      signal: controller.signal,
      observe: (e) => {
        if (e.kind === 'step' && e.step + 1 >= stop) controller.abort();
      },
    });
  };

  test.each([1, 2])('bit for bit, interrupted anywhere, %d micro-batches', async (micro) => {
    const total = 14;
    const whole = bytesOf((await train(toyPlan(total, micro), referenceBackend())).state);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 1, max: total - 1 }), { maxLength: 3 }),
        fc.integer({ min: 1, max: 6 }),
        async (stops, every) => {
          const { store, saved } = memoryStore();
          const checkpoints = { store, every, configuration: {} };
          for (const stop of stops) {
            const before = saved.at(-1)?.step ?? 0;
            if (before >= total) break;
            const { reason, state } = await interruptedAt(toyPlan(total, micro), stop, {
              checkpoints,
            });
            // The step at hand is finished and saved, and no further one begun.
            expect(state.step).toBe(Math.max(stop, before + 1));
            expect(reason).toBe(state.step < total ? 'interrupted' : 'completed');
            expect(saved.at(-1)?.step).toBe(state.step);
          }
          const end = await train(toyPlan(total, micro), referenceBackend(), { checkpoints });
          expect(bytesOf(end.state)).toBe(whole);
        },
      ),
      { numRuns: runs(8) },
    );
  });

  test.each(testBackends().map((b) => [b.name, b] as const))(
    'bit for bit through a file on %s',
    async (_, { open }) => {
      const backend = await open();
      const plan = toyPlan(6);
      const { state } = await train(plan, backend);
      const { store } = memoryStore();
      const checkpoints = { store, every: 2, configuration: {} };
      const controller = new AbortController();
      await train(plan, backend, {
        checkpoints,
        signal: controller.signal,
        observe: (e) => e.kind === 'step' && e.step === 2 && controller.abort(),
      });
      const resumed = await train(plan, backend, { checkpoints });
      expect(bytesOf(resumed.state)).toBe(bytesOf(state));
      await backend.dispose();
    },
  );

  test('a completed run only gives its state again', async () => {
    const { store, saved } = memoryStore();
    const checkpoints = { store, every: 4, configuration: {} };
    const first = await train(toyPlan(6), referenceBackend(), { checkpoints });
    const count = saved.length;
    const again = await train(toyPlan(6), referenceBackend(), { checkpoints });
    expect(bytesOf(again.state)).toBe(bytesOf(first.state));
    expect(saved).toHaveLength(count);
  });

  test('another configuration or run key is refused', async () => {
    const { store } = memoryStore();
    const checkpoints = (configuration: Json) => ({ store, every: 2, configuration });
    await train(toyPlan(2), referenceBackend(), { checkpoints: checkpoints({ rank: 8 }) });
    await expect(
      train(toyPlan(4), referenceBackend(), { checkpoints: checkpoints({ rank: 4 }) }),
    ).rejects.toMatchObject({
      name: 'FlatloraError',
      kind: 'checkpoint',
      message: 'made with another configuration: rank: 8 saved, 4 now',
    });
    await expect(
      train({ ...toyPlan(4), runKey: key(1) }, referenceBackend(), {
        checkpoints: checkpoints({ rank: 8 }),
      }),
    ).rejects.toThrow("the checkpoint's run key is 0,42, this run's is 0,1");
  });
});

describe('a loss that is not finite', () => {
  type Params = { readonly scale: { readonly w: Value } };
  const plan = (
    loss: Loss<Params, Value>,
    data: (step: number) => readonly number[],
    learningRate = 0.01,
  ): TrainingPlan<Params, Value, { scale: { w: HostArray } }> => ({
    loss,
    optimiser: sgd({ learningRate }),
    params: { scale: { w: floats([1, 2]) } },
    totalSteps: 20,
    batch: (step) => floats(data(step)),
    runKey: key(0),
  });
  const logLoss: Loss<Params, Value> = ({ scale: { w } }, x) => reduceSum(mul(w, log(x)));

  test.each([1, 4])(
    'names step and tensor, keeps the last checkpoint (read every %d)',
    async (readEvery) => {
      const backend = referenceBackend();
      const { store, saved } = memoryStore();
      const events: TrainingEvent[] = [];
      const data = (step: number) => (step === 7 ? [1, -1] : [1, 2]);
      await expect(
        train(plan(logLoss, data), backend, {
          readEvery,
          checkpoints: { store, every: 3, configuration: {} },
          observe: (e) => events.push(e),
        }),
      ).rejects.toMatchObject({
        kind: 'not-finite',
        message:
          'train: at step 7 the loss is NaN; first not finite: equation 1 of 3, "d: float[2] = log b"; the last good checkpoint is kept',
      });
      expect(saved.map((s) => s.step)).toEqual([3, 6]);
      expect(events.at(-1)).toEqual({ kind: 'failed' });
      expect(backend.memory().buffers).toBe(0);
    },
  );

  test.each(testBackends().map((b) => [b.name, b] as const))(
    'is found on %s',
    async (_, { open }) => {
      const backend = await open();
      const squares: Loss<Params, Value> = ({ scale: { w } }, x) => reduceSum(mul(mul(w, x), x));
      // About 1e60 overflows float32; in float64 it counts as not finite all the same.
      for (const [bad, message] of [
        [
          1e30,
          /at step 3 the loss is (Infinity|\d.*e\+59); first not finite: equation 2 of 3, ".*= mul /,
        ],
        [Number.NaN, /at step 3 the loss is NaN; first not finite: batch /],
      ] as const) {
        const data = (step: number) => (step === 3 ? [bad, 2] : [1, 2]);
        await expect(train(plan(squares, data), backend)).rejects.toThrow(message);
      }
      await backend.dispose();
    },
  );

  test('in the data, it is the data that is named', async () => {
    const loss: Loss<Params, Value> = ({ scale: { w } }, x) => reduceSum(mul(w, x));
    await expect(
      train(
        plan(loss, () => [1, Number.NaN]),
        referenceBackend(),
      ),
    ).rejects.toThrow('at step 0 the loss is NaN; first not finite: batch ""; ');
  });

  test('in a parameter', async () => {
    const loss: Loss<Params, Value> = ({ scale: { w } }, x) => reduceSum(mul(w, x));
    const broken = {
      ...plan(loss, () => [1, 2]),
      params: { scale: { w: floats([1, Number.NaN]) } },
    };
    await expect(train(broken, referenceBackend())).rejects.toThrow(
      'first not finite: parameter "scale.w"',
    );
  });

  test('only in the gradient, inside a checkpointed part', async () => {
    // √x at 0 has an infinite slope.
    const loss: Loss<Params, Value> = ({ scale: { w } }, x) =>
      reduceSum(checkpoint((v: Value) => sqrt(mul(v, x)))(w));
    await expect(
      train(
        plan(loss, (step) => (step === 2 ? [1, 0] : [1, 1])),
        referenceBackend(),
      ),
    ).rejects.toThrow(
      /^train: at step 2 the loss is [\d.]+ but its gradient is not finite; first not finite in the backward pass: equation \d+ of \d+, "\w+: float\[2\] = (div|pow) .*"; /,
    );
  });

  test('divergence ends with an overflow that is named', async () => {
    const loss: Loss<Params, Value> = ({ scale: { w } }, x) => reduceSum(exp(mul(w, mul(-1, x))));
    await expect(
      train(
        plan(loss, () => [1, 1], 1e4),
        referenceBackend(),
      ),
    ).resolves.toBeDefined();
    const rising: Loss<Params, Value> = ({ scale: { w } }, x) => reduceSum(mul(mul(w, w), x));
    await expect(
      train(
        plan(rising, () => [1, 1], 1e4),
        referenceBackend(),
      ),
    ).rejects.toThrow(/^train: at step \d+ the loss is [\d.]+e\+\d+; first not finite: /);
  });

  test('constants that are infinite on purpose are not blamed', async () => {
    const masked: Loss<Params, Value> = ({ scale: { w } }, x) => {
      const mask = floats([0, Number.NEGATIVE_INFINITY]);
      return add(reduceSum(exp(add(w, mask))), reduceSum(div(w, x)));
    };
    await expect(
      train(
        plan(masked, (step) => (step === 1 ? [1, 0] : [1, 1])),
        referenceBackend(),
      ),
    ).rejects.toThrow(/at step 1 the loss is Infinity; first not finite: .*= div /);
  });
});

test.each([
  [{ totalSteps: 0 }, {}, 'train: totalSteps is 0, expected a positive integer'],
  [{ microBatches: 1.5 }, {}, 'train: microBatches is 1.5'],
  [{}, { readEvery: 0 }, 'train: readEvery is 0'],
])('bad input %#', async (change, options, message) => {
  await expect(train({ ...toyPlan(3), ...change }, referenceBackend(), options)).rejects.toThrow(
    message,
  );
});
