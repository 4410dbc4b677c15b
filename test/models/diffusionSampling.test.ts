/** Noise schedules, the denoising loss and DDIM against numpy and against their definitions. */
import {
  add,
  convert,
  floats,
  foldIn,
  type HostArray,
  hostNormal,
  hostUniform,
  ints,
  key,
  mul,
  range,
  reshape,
  split,
  tanh,
  type Value,
} from '../../src/autodiff/index.js';
import {
  addNoise,
  cosineDiffusion,
  type Denoiser,
  ddimStep,
  denoisingLoss,
  drawTimes,
  guided,
  linearDiffusion,
  samplingTimes,
} from '../../src/models/index.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { readTorchFixture } from '../support/torchFixtures.js';
import { gaussian } from './support.js';

interface Stored {
  readonly schedules: readonly {
    readonly name: 'cosine' | 'linear';
    readonly steps: number;
    readonly times: readonly number[];
    readonly signal: readonly number[];
  }[];
  readonly trajectories: readonly {
    readonly name: 'cosine' | 'linear';
    readonly times: readonly number[];
    readonly x: HostArray;
    readonly steps: HostArray;
  }[];
}

const { schedules, trajectories } = readTorchFixture('ddim') as unknown as Stored;
const made = { cosine: cosineDiffusion, linear: linearDiffusion };

describe('schedules', () => {
  test.each(schedules.map((s) => [`${s.name}, ${s.steps} steps`, s] as const))(
    '%s as numpy has it',
    (_, { name, steps, times, signal }) => {
      const found = made[name](steps);
      expect(found.signal).toHaveLength(steps + 1);
      expect(
        relativeError(
          times.map((t) => found.signal[t] as number),
          signal,
        ),
      ).toBeLessThan(1e-12);
    },
  );

  test.each(['cosine', 'linear'] as const)('%s: from the image to nearly pure noise', (name) => {
    const { signal } = made[name]();
    expect(signal[0]).toBe(1);
    expect(signal[1]).toBeGreaterThan(0.999);
    expect(signal.at(-1)).toBeLessThan(1e-4);
    expect(signal.every((a, t) => t === 0 || a < (signal[t - 1] as number))).toBe(true);
  });

  test('sampling times: equal strides from T to 0', () => {
    expect(samplingTimes(cosineDiffusion(), 4)).toEqual([1000, 750, 500, 250, 0]);
    expect(samplingTimes(cosineDiffusion(7), 7)).toEqual([7, 6, 5, 4, 3, 2, 1, 0]);
    expect(() => samplingTimes(cosineDiffusion(7), 8)).toThrow(/steps is 8, expected .* 1 to 7/);
    expect(() => cosineDiffusion(0)).toThrow(/steps is 0/);
  });
});

describe('DDIM', () => {
  test.each(trajectories.map((t) => [t.name, t] as const))(
    '%s: a trajectory of numpy',
    (_, { name, times, x, steps }) => {
      const denoise: Denoiser = (images, t) =>
        add(tanh(mul(1.5, images)), mul(1 / 2000, reshape(t, [2, 1])));
      let now: HostArray = x;
      for (const [i, from] of times.slice(0, -1).entries()) {
        now = run(
          (images: Value, a: Value, b: Value) =>
            ddimStep(denoise, made[name](), images, images, a, b),
          now,
          ints([from], []),
          ints([times[i + 1] as number], []),
        )[0] as HostArray;
        expect(
          relativeError(toNumbers(now), toNumbers(steps).slice(6 * i, 6 * i + 6)),
        ).toBeLessThan(1e-10);
      }
      expect(toNumbers(now).every((v) => Math.abs(v) <= 1)).toBe(true);
    },
  );

  test('who knows the noise gets the image back, in one step or in many', () => {
    const schedule = cosineDiffusion();
    const image = floats(
      range(6).map((i) => i / 6 - 0.4),
      [2, 3],
    );
    const noise = gaussian(1, [2, 3]);
    for (const steps of [1, 3, 10]) {
      const times = samplingTimes(schedule, steps);
      let x = run(
        (a: Value, e: Value, t: Value) => addNoise(schedule, a, e, t),
        image,
        noise,
        ints([1000, 1000]),
      )[0] as HostArray;
      for (let i = 0; i < steps; i++) {
        x = run(
          (images: Value, e: Value, a: Value, b: Value) =>
            ddimStep(() => e, schedule, images, images, a, b),
          x,
          noise,
          ints([times[i] as number], []),
          ints([times[i + 1] as number], []),
        )[0] as HostArray;
      }
      // √ᾱ_T is 5·10⁻⁵, which the rounding of x is divided by.
      expect(relativeError(toNumbers(x), toNumbers(image))).toBeLessThan(1e-9);
    }
  });

  test('guidance: weight 1 is the label alone, 0 is "any", 2 goes beyond', () => {
    const denoise: Denoiser = (images, times, labels) => {
      const beside = [images.shape[0] as number, 1];
      const shown = reshape(convert(labels, 'float'), beside);
      return add(images, add(reshape(mul(0.1, times), beside), shown));
    };
    const at = (weight: number) =>
      numbers(
        (x: Value, t: Value, y: Value) => guided(denoise, 7, weight)(x, t, y),
        gaussian(1, [2, 3]),
        floats([1, 2]),
        ints([3, 5]),
      );
    const labelled = at(1);
    const any = at(0);
    expect(
      relativeError(
        any,
        labelled.map((v, i) => v + (i < 3 ? 4 : 2)),
      ),
    ).toBeLessThan(1e-14);
    expect(
      relativeError(
        at(2.5),
        any.map((v, i) => v + 2.5 * ((labelled[i] as number) - v)),
      ),
    ).toBeLessThan(1e-14);
  });
});

describe('the denoising loss', () => {
  const schedule = cosineDiffusion(100);
  const images = gaussian(1, [4, 2, 3]);
  const labels = ints([0, 1, 2, 0]);

  /** What the loss draws from its key, on the host. */
  function drawn(of: ReturnType<typeof key>) {
    const [timeKey, noiseKey, labelKey] = split(of, 3) as [typeof of, typeof of, typeof of];
    const [shift = 0] = hostUniform(timeKey, 1);
    return {
      times: range(4).map((i) => 1 + Math.floor(100 * ((shift + i / 4) % 1))),
      noise: Array.from(hostNormal(noiseKey, 24)),
      dropped: Array.from(hostUniform(labelKey, 4), (u) => u < 0.5),
    };
  }

  test('is the mean squared error at the times, noise and labels of its key', () => {
    for (const seed of range(5)) {
      const { times, noise, dropped } = drawn(key(seed));
      // A stand-in that shows all that it is given.
      const denoise: Denoiser = (x, t, y) =>
        add(
          mul(0.5, x),
          add(reshape(mul(0.01, t), [4, 1, 1]), reshape(convert(y, 'float'), [4, 1, 1])),
        );
      const [loss] = numbers(
        (x: Value, y: Value, k: Value) =>
          denoisingLoss(denoise, { schedule, anyLabel: 9, labelDropout: 0.5 }, x, y, k),
        images,
        labels,
        key(seed),
      );
      const squares = toNumbers(images).map((x, i) => {
        const n = Math.floor(i / 6);
        const t = times[n] as number;
        const kept = schedule.signal[t] as number;
        const e = noise[i] as number;
        const noisy = Math.sqrt(kept) * x + Math.sqrt(1 - kept) * e;
        const label = dropped[n] === true ? 9 : toNumbers(labels)[n];
        return (0.5 * noisy + 0.01 * t + (label as number) - e) ** 2;
      });
      const expected = squares.reduce((a, b) => a + b, 0) / squares.length;
      expect(Math.abs((loss as number) / expected - 1)).toBeLessThan(1e-12);
    }
  });

  test('times: each uniform on 1 … T, and spread evenly over a batch', () => {
    const all = range(500).map((i) =>
      numbers((k: Value) => drawTimes({ steps: 8, signal: [] }, k, 4), foldIn(key(3), i)),
    );
    // Four equally spaced points of eight places: one in each pair of places, up to the shift.
    for (const times of all) {
      expect(times.every((t) => Number.isInteger(t) && t >= 1 && t <= 8)).toBe(true);
      expect(new Set(times.map((t) => (t - 1) % 2)).size).toBe(1);
      expect(new Set(times).size).toBe(4);
    }
    // The first time: 500 draws over 8 places; Pearson's statistic, 7 degrees of freedom, is above 40
    // with probability 1.3·10⁻⁶ (and the seed is fixed).
    const counts = range(8).map((t) => all.filter((times) => times[0] === t + 1).length);
    const statistic = counts.reduce((s, c) => s + (c - 62.5) ** 2 / 62.5, 0);
    expect(statistic).toBeLessThan(40);
  });
});
