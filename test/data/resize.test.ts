import fc from 'fast-check';
import ndarray from 'ndarray';
import { normalise, pixelMoments, resizeBilinear, resizeNearest } from '../../src/data/index.js';
import { runs } from '../tooling/property.js';

const picture = (height: number, width: number, values: readonly number[]) =>
  ndarray(Float32Array.from(values), [values.length / (height * width), height, width]);

describe('resizeBilinear', () => {
  it('is align_corners = false: enlarging [0, 1] by two gives 0, ¼, ¾, 1', () => {
    const row = resizeBilinear(picture(1, 2, [0, 1]), 1, 4);
    expect([...row.data]).toEqual([0, 0.25, 0.75, 1]);
    const square = resizeBilinear(picture(2, 2, [0, 1, 0, 1]), 4, 4);
    expect(square.shape).toEqual([1, 4, 4]);
    expect([...square.data]).toEqual(Array.from({ length: 4 }, () => [0, 0.25, 0.75, 1]).flat());
  });

  it('interpolates both ways at once', () => {
    // centre pixel of 2×2 → 3×3 is the mean of all four
    const nine = resizeBilinear(picture(2, 2, [0, 1, 2, 5]), 3, 3);
    expect(nine.get(0, 1, 1)).toBe(2);
    expect(nine.get(0, 0, 0)).toBe(0);
    expect(nine.get(0, 2, 2)).toBe(5);
  });

  it('keeps colours apart', () => {
    const colour = ndarray(Float32Array.of(0, 10, 20, 1, 11, 21), [1, 1, 2, 3]);
    const wide = resizeBilinear(colour, 1, 4);
    expect(wide.shape).toEqual([1, 1, 4, 3]);
    expect([0, 1, 2].map((c) => wide.get(0, 0, 1, c))).toEqual([0.25, 10.25, 20.25]);
  });

  it('is the identity at the same size, keeps bounds, and keeps means when doubling', () => {
    const pixels = fc.array(fc.float({ min: 0, max: 1, noNaN: true }), {
      minLength: 18,
      maxLength: 18,
    });
    fc.assert(
      fc.property(pixels, (values) => {
        const images = picture(3, 3, values);
        expect([...resizeBilinear(images, 3, 3).data]).toEqual([...images.data]);
        const large = resizeBilinear(images, 6, 6).data;
        expect(Math.max(...large)).toBeLessThanOrEqual(Math.max(...values));
        expect(Math.min(...large)).toBeGreaterThanOrEqual(Math.min(...values));
        const mean = (all: Iterable<number>): number => {
          const list = [...all];
          return list.reduce((sum, value) => sum + value, 0) / list.length;
        };
        expect(mean(large)).toBeCloseTo(mean(values), 5);
      }),
      { numRuns: runs(50) },
    );
  });

  it('refuses impossible sides', () => {
    expect(() => resizeBilinear(picture(1, 2, [0, 1]), 0, 4)).toThrow('given 0×4');
    expect(() => resizeNearest(picture(1, 2, [0, 1]), 2, 1.5)).toThrow('given 2×1.5');
  });
});

describe('resizeNearest', () => {
  it('repeats pixels when doubling and undoes it when halving', () => {
    const images = picture(2, 2, [0, 1, 2, 3]);
    const large = resizeNearest(images, 4, 4);
    expect([...large.data]).toEqual([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]);
    expect([...resizeNearest(large, 2, 2).data]).toEqual([0, 1, 2, 3]);
  });
});

describe('normalise', () => {
  it('gives mean 0 and deviation 1 with the images own moments', () => {
    const images = picture(2, 2, [0, 0.5, 1, 0.25, 0.75, 0.5, 0, 1]);
    const moments = pixelMoments(images);
    expect(moments.mean).toBeCloseTo(0.5, 12);
    const after = pixelMoments(normalise(images, moments));
    expect(after.mean).toBeCloseTo(0, 6);
    expect(after.deviation).toBeCloseTo(1, 6);
    expect(images.data[1]).toBe(0.5); // the input is left alone
  });

  it('refuses constant images', () => {
    const images = picture(1, 2, [1, 1]);
    expect(() => normalise(images, pixelMoments(images))).toThrow('deviation must be positive');
  });
});
