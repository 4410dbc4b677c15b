/** Enlarging, shrinking and normalising images: pure functions on [n, h, w] or [n, h, w, c]. */
import ndarray from 'ndarray';
import { clamp } from './clamp.js';
import { flatImages, type Images } from './types.js';

/** Two source positions and the weight of the second: out = (1 − weight) · in[low] + weight · in[high]. */
interface Tap {
  readonly low: number;
  readonly high: number;
  readonly weight: number;
}

/**
 * Pixel centres sit at half-integers, as in PyTorch's `interpolate(align_corners=False)`: output i
 * looks at source position (i + ½) · from/to − ½, and positions outside repeat the border pixel.
 */
const bilinearTaps = (from: number, to: number): readonly Tap[] =>
  Array.from({ length: to }, (_, i) => {
    const position = clamp(((i + 0.5) * from) / to - 0.5, from - 1);
    const low = Math.floor(position);
    return { low, high: Math.min(low + 1, from - 1), weight: position - low };
  });

const nearestTaps = (from: number, to: number): readonly Tap[] =>
  Array.from({ length: to }, (_, i) => {
    const low = Math.min(Math.floor(((i + 0.5) * from) / to), from - 1);
    return { low, high: low, weight: 0 };
  });

function resample(images: Images, rows: readonly Tap[], columns: readonly Tap[]): Images {
  const [count = 0, height = 0, width = 0, channels = 1] = images.shape;
  const from = flatImages(images);
  const to = new Float32Array(count * rows.length * columns.length * channels);
  let at = 0;
  for (let n = 0; n < count; n++) {
    const value = (y: number, x: number, c: number): number =>
      from[((n * height + y) * width + x) * channels + c] as number;
    for (const y of rows) {
      for (const x of columns) {
        for (let c = 0; c < channels; c++) {
          const top = (1 - x.weight) * value(y.low, x.low, c) + x.weight * value(y.low, x.high, c);
          const bottom =
            (1 - x.weight) * value(y.high, x.low, c) + x.weight * value(y.high, x.high, c);
          to[at++] = (1 - y.weight) * top + y.weight * bottom;
        }
      }
    }
  }
  return ndarray(to, [count, rows.length, columns.length, ...images.shape.slice(3)]);
}

const checkSides = (who: string, height: number, width: number): void => {
  if (!(Number.isInteger(height) && height > 0 && Number.isInteger(width) && width > 0)) {
    throw new RangeError(`${who}: sides must be positive integers, given ${height}×${width}`);
  }
};

/**
 * Bilinear resizing with `align_corners = false` and no antialiasing filter: meant for enlarging
 * (optdigits 8×8 → 16×16); when shrinking by more than 2 it skips pixels, as PyTorch's does.
 * @param images [n, h, w] or [n, h, w, c]
 * @returns [n, height, width] or [n, height, width, c]
 * @throws RangeError for sides that are not positive integers.
 */
export function resizeBilinear(images: Images, height: number, width: number): Images {
  checkSides('resizeBilinear', height, width);
  const [, h = 0, w = 0] = images.shape;
  return resample(images, bilinearTaps(h, height), bilinearTaps(w, width));
}

/** Like `resizeBilinear`, but each output pixel copies the source pixel that it lies in. */
export function resizeNearest(images: Images, height: number, width: number): Images {
  checkSides('resizeNearest', height, width);
  const [, h = 0, w = 0] = images.shape;
  return resample(images, nearestTaps(h, height), nearestTaps(w, width));
}

/** Mean and standard deviation (of the population) over all pixels of all images. */
export interface PixelMoments {
  readonly mean: number;
  readonly deviation: number;
}

/** Moments of the training images; use the same ones for every set that the model will see. */
export function pixelMoments(images: Images): PixelMoments {
  const flat = flatImages(images);
  // Float64 sums, two passes: exact enough for millions of pixels.
  const mean = flat.reduce((sum, value) => sum + value, 0) / flat.length;
  const square = flat.reduce((sum, value) => sum + (value - mean) ** 2, 0) / flat.length;
  return { mean, deviation: Math.sqrt(square) };
}

/**
 * (value − mean) / deviation for every pixel.
 * @throws RangeError where the deviation is not a positive number.
 */
export function normalise(images: Images, { mean, deviation }: PixelMoments): Images {
  if (!(deviation > 0)) {
    throw new RangeError(`normalise: deviation must be positive, given ${deviation}`);
  }
  return ndarray(
    flatImages(images).map((value) => (value - mean) / deviation),
    [...images.shape],
  );
}
