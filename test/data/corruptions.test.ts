import fc from 'fast-check';
import ndarray from 'ndarray';
import { key } from '../../src/autodiff/random/keys.js';
import { corruptions, drawnDigits, SEVERITIES, takeRows } from '../../src/data/index.js';
import { runs } from '../tooling/property.js';
import { centroidAccuracy, distortion } from './helpers.js';

const digits = drawnDigits({ hand: 'upright', count: 200, key: key(1) });

/** Compared as numbers here, not by `toEqual`, which takes seconds for arrays of this size. */
const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((value, i) => Object.is(value, b[i]));

const inUnitRange = (values: Float32Array): boolean => values.every((v) => v >= 0 && v <= 1);

describe.each(corruptions)('corruption $name', ({ apply }) => {
  it('is deterministic, pure, keeps the shape and stays in 0 … 1', () => {
    const before = Float32Array.from(digits.images.data);
    for (const severity of SEVERITIES) {
      const once = apply(digits.images, severity, key(2));
      expect(once.shape).toEqual(digits.images.shape);
      expect(inUnitRange(once.data)).toBe(true);
      expect(sameBits(apply(digits.images, severity, key(2)).data, once.data)).toBe(true);
    }
    expect(sameBits(digits.images.data, before)).toBe(true);
  });

  it('distorts more with each severity, mildly at 1 and strongly at 5', () => {
    const measured = SEVERITIES.map((s) =>
      distortion(apply(digits.images, s, key(3)), digits.images),
    );
    measured.slice(1).forEach((value, i) => {
      expect(value).toBeGreaterThan(measured[i] as number);
    });
    expect(measured[0]).toBeGreaterThan(0.02);
    expect(measured[0]).toBeLessThan(0.13);
    expect(measured[4]).toBeGreaterThan(0.15);
  });

  it('leaves most digits recognisable at severity 1 and never helps much at 5', () => {
    const at = (severity: 1 | 5): number =>
      centroidAccuracy(digits, { ...digits, images: apply(digits.images, severity, key(4)) });
    const clean = centroidAccuracy(digits, digits);
    expect(at(1)).toBeGreaterThan(clean - 0.08);
    expect(at(5)).toBeLessThanOrEqual(clean + 0.01);
    expect(at(5)).toBeGreaterThan(0.1); // stronger than guessing: something is left to see
  });

  it('treats each image by its own row and key, on any size of image', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 30 }),
        fc.constantFrom(...SEVERITIES),
        (count, height, width, severity) => {
          const images = ndarray(
            Float32Array.from({ length: count * height * width }, (_, i) => ((i * 7) % 11) / 10),
            [count, height, width],
          );
          const all = apply(images, severity, key(5));
          const first = apply(images.hi(1, height, width), severity, key(5));
          expect(inUnitRange(all.data)).toBe(true);
          expect(sameBits(all.data.subarray(0, height * width), first.data)).toBe(true);
        },
      ),
      { numRuns: runs(40) },
    );
  });

  it('gives a part of a set the noise that it has in the whole', () => {
    const rows = [3, 70, 199];
    const all = apply(digits.images, 4, key(6));
    const part = apply(takeRows(digits, rows).images, 4, key(6), rows);
    rows.forEach((row, i) => {
      const [whole, own] = [all.data.subarray(256 * row), part.data.subarray(256 * i)];
      expect(sameBits(own.subarray(0, 256), whole.subarray(0, 256))).toBe(true);
    });
  });

  it('refuses other severities and colour images', () => {
    expect(() => apply(digits.images, 0 as 1, key(1))).toThrow('severity must be');
    expect(() => apply(digits.images, 6 as 5, key(1))).toThrow('given 6');
    const colour = ndarray(new Float32Array(12), [1, 2, 2, 3]);
    expect(() => apply(colour, 1, key(1))).toThrow('must be [n, h, w], given [1,2,2,3]');
  });
});

it('corruption names are different', () => {
  expect(new Set(corruptions.map(({ name }) => name)).size).toBe(corruptions.length);
});
