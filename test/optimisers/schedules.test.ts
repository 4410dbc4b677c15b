import { floats, type HostArray, ints, type Value } from '../../src/autodiff/index.js';
import { type Backend, evaluate, referenceBackend } from '../../src/kernels/index.js';
import {
  constantSchedule,
  cosineSchedule,
  linearSchedule,
  type Schedule,
  warmUpSchedule,
} from '../../src/optimisers/index.js';
import { testBackends } from '../support/backends.js';
import { relativeError, toNumbers } from '../support/numeric.js';
import { readTorchFixture } from '../support/torchFixtures.js';

interface ScheduleCase {
  readonly name: string;
  readonly attrs: {
    readonly kind: 'cosine' | 'linear';
    readonly warmup: number;
    readonly total: number;
    readonly num_cycles: number;
    readonly base_lr: number;
  };
  readonly lr: readonly number[];
}

/** The schedule inside a program, at int steps 0 … n − 1. */
async function traced(
  schedule: Schedule,
  n: number,
  backend: Backend = referenceBackend(),
): Promise<number[]> {
  const steps = ints(Array.from({ length: n }, (_, i) => i));
  const rates = await evaluate((step: Value) => schedule.traced(step), backend, steps);
  const numbers = toNumbers(rates as unknown as HostArray);
  return numbers.length === n ? numbers : Array.from({ length: n }, () => numbers[0] as number);
}

const { cases } = readTorchFixture<ScheduleCase>('lr_schedule');

test.each(cases.map((c) => [c.name, c] as const))(
  'Hugging Face: %s, traced and on the host',
  async (_, { attrs, lr }) => {
    const { kind, warmup, total, num_cycles, base_lr } = attrs;
    const options = { totalSteps: total, warmUpSteps: warmup };
    const schedule =
      kind === 'linear'
        ? linearSchedule(base_lr, options)
        : cosineSchedule(base_lr, { ...options, cycles: num_cycles });
    for (const { tolerance, open } of testBackends()) {
      const backend = await open();
      expect(relativeError(await traced(schedule, lr.length, backend), lr)).toBeLessThan(tolerance);
      await backend.dispose();
    }
    expect(
      lr.map((__, i) => schedule.at(i)).every((x, i) => Math.abs(x - (lr[i] as number)) < 1e-10),
    ).toBe(true);
  },
);

test('constant, and warm-up to a constant', async () => {
  expect(await traced(constantSchedule(0.3), 3)).toEqual([0.3, 0.3, 0.3]);
  const warm = warmUpSchedule(2, 4);
  expect(await traced(warm, 7)).toEqual([0, 0.5, 1, 1.5, 2, 2, 2]);
  expect([0, 2, 4, 100].map(warm.at)).toEqual([0, 1, 2, 2]);
});

test('float steps are taken as they are', async () => {
  const half = await evaluate(
    (step: Value) => linearSchedule(1, { totalSteps: 4 }).traced(step),
    referenceBackend(),
    floats([0.5]),
  );
  expect(toNumbers(half as unknown as HostArray)).toEqual([0.875]);
});

test.each([
  [() => cosineSchedule(1, { totalSteps: 0 }), 'cosineSchedule: totalSteps is 0'],
  [() => linearSchedule(1, { totalSteps: 3, warmUpSteps: 4 }), 'linearSchedule: warmUpSteps is 4'],
  [() => linearSchedule(Number.NaN, { totalSteps: 3 }), 'linearSchedule: peak is NaN'],
  [() => constantSchedule(Number.POSITIVE_INFINITY), 'constantSchedule: value is Infinity'],
])('bad input %#', (make, message) => {
  expect(make).toThrow(message);
});
