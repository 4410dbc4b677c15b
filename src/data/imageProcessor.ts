/**
 * What a vision model wants done to an image, as `preprocessor_config.json` says: resize, cut out the
 * middle, scale to 0…1, subtract a mean and divide by a deviation per channel.
 *
 * Resizing is that of Pillow, with which the models' images were made: a separable filter (bilinear or
 * bicubic with a = −½) whose support grows with the reduction, in fixed point with 22 bits, rounded to
 * 8 bits after each direction.
 */
import * as E from 'fp-ts/lib/Either.js';
import { type DataError, dataError } from './types.js';

/** 8 bits a channel, [height, width, channels], row-major. */
export interface PixelImage {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly pixels: Uint8Array;
}

export interface ImageProcessor {
  /** Height and width of the result, or the length of the shorter side. */
  readonly resize?: { readonly height: number; readonly width: number } | number;
  readonly filter: 'bilinear' | 'bicubic';
  /** Cut out of the middle after resizing. */
  readonly crop?: { readonly height: number; readonly width: number };
  /** Factor of the 8-bit numbers; 1/255 in all published configurations. */
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

const isNumberList = (x: unknown): x is number[] =>
  Array.isArray(x) && x.every((n) => typeof n === 'number');

/** Of a number, {height, width} or {shortest_edge}. */
function sizeOf(given: unknown): ImageProcessor['resize'] {
  if (typeof given === 'number') return { height: given, width: given };
  if (typeof given !== 'object' || given === null) return undefined;
  const { height, width, shortest_edge: shortest } = given as Record<string, unknown>;
  if (typeof shortest === 'number') return shortest;
  return typeof height === 'number' && typeof width === 'number' ? { height, width } : undefined;
}

/** Pillow's numbers of its filters. */
const FILTERS: Readonly<Record<number, ImageProcessor['filter']>> = { 2: 'bilinear', 3: 'bicubic' };

/**
 * The processor of a parsed `preprocessor_config.json`.
 * @returns a problem that names the field which is missing or another filter.
 */
export function imageProcessorOf(json: unknown): E.Either<DataError, ImageProcessor> {
  const bad = (message: string) => E.left(dataError(`preprocessor_config.json: ${message}`));
  if (typeof json !== 'object' || json === null) return bad('no object');
  const {
    do_resize: doResize = true,
    size,
    resample = 2,
    do_center_crop: doCrop = false,
    crop_size: cropSize,
    do_rescale: doRescale = true,
    rescale_factor: factor = 1 / 255,
    do_normalize: doNormalize = true,
    image_mean: mean,
    image_std: deviation,
  } = json as Record<string, unknown>;
  const filter = FILTERS[Number(resample)];
  if (filter === undefined) return bad(`resample is ${resample}, expected 2 or 3`);
  const resize = doResize === true ? sizeOf(size) : undefined;
  if (doResize === true && resize === undefined) return bad('size is missing');
  const crop = doCrop === true ? sizeOf(cropSize) : undefined;
  if (doCrop === true && typeof crop !== 'object') return bad('crop_size is missing');
  if (doNormalize === true && !(isNumberList(mean) && isNumberList(deviation))) {
    return bad('image_mean and image_std are missing');
  }
  return E.right({
    ...(resize !== undefined && { resize }),
    filter,
    ...(typeof crop === 'object' && { crop }),
    rescale: doRescale === true ? Number(factor) : 1,
    mean: doNormalize === true ? (mean as number[]) : [0],
    deviation: doNormalize === true ? (deviation as number[]) : [1],
  });
}

const bilinear = (x: number): number => Math.max(0, 1 - Math.abs(x));

function bicubic(given: number): number {
  const a = -0.5;
  const x = Math.abs(given);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

const SUPPORT = { bilinear: 1, bicubic: 2 };
const PRECISION_BITS = 32 - 8 - 2;

interface Taps {
  readonly start: number;
  /** In fixed point. */
  readonly weights: Int32Array;
}

/** For each place of the result: where its filter begins, and the filter. */
function tapsOf(from: number, to: number, filter: ImageProcessor['filter']): readonly Taps[] {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = SUPPORT[filter] * stretch;
  const f = filter === 'bilinear' ? bilinear : bicubic;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: end - start }, (__, j) =>
      f((j + start - centre + 0.5) / stretch),
    );
    const sum = raw.reduce((a, b) => a + b, 0);
    return {
      start,
      weights: Int32Array.from(raw, (w) => {
        const fixed = (w / sum) * 2 ** PRECISION_BITS;
        return fixed < 0 ? Math.trunc(fixed - 0.5) : Math.trunc(fixed + 0.5);
      }),
    };
  });
}

const clip8 = (sum: number): number =>
  Math.min(255, Math.max(0, Math.floor(sum / 2 ** PRECISION_BITS)));

/** One direction: `count` lines of `from` places, `inner` numbers a place, to `to` places. */
function resampled(
  pixels: Uint8Array,
  [count, from, to, inner]: readonly [number, number, number, number],
  filter: ImageProcessor['filter'],
): Uint8Array {
  if (from === to) return pixels;
  const out = new Uint8Array(count * to * inner);
  const half = 2 ** (PRECISION_BITS - 1);
  for (const [i, { start, weights }] of tapsOf(from, to, filter).entries()) {
    for (let line = 0; line < count; line++) {
      for (let c = 0; c < inner; c++) {
        let sum = half;
        for (let j = 0; j < weights.length; j++) {
          const at = ((line * from + start + j) * inner + c) | 0;
          sum += (weights[j] as number) * (pixels[at] as number);
        }
        out[(line * to + i) * inner + c] = clip8(sum);
      }
    }
  }
  return out;
}

/** An image in another size, as Pillow's `resize` makes it. */
export function resizeImage(
  { width, height, channels, pixels }: PixelImage,
  size: { readonly height: number; readonly width: number },
  filter: ImageProcessor['filter'] = 'bilinear',
): PixelImage {
  const narrow = resampled(pixels, [height, width, size.width, channels], filter);
  const done = resampled(narrow, [1, height, size.height, size.width * channels], filter);
  return { ...size, channels, pixels: done };
}

/** The middle of an image; beyond its borders there is black. */
function cropped(
  { width, height, channels, pixels }: PixelImage,
  size: { readonly height: number; readonly width: number },
): PixelImage {
  const top = Math.floor((height - size.height) / 2);
  const left = Math.floor((width - size.width) / 2);
  const out = new Uint8Array(size.height * size.width * channels);
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const [fromY, fromX] = [y + top, x + left];
      if (fromY < 0 || fromY >= height || fromX < 0 || fromX >= width) continue;
      const at = (fromY * width + fromX) * channels;
      out.set(pixels.subarray(at, at + channels), (y * size.width + x) * channels);
    }
  }
  return { ...size, channels, pixels: out };
}

/** An image as the model wants it: float32 [height, width, channels]. */
export function processImage(
  image: PixelImage,
  { resize, filter, crop, rescale, mean, deviation }: ImageProcessor,
): { readonly height: number; readonly width: number; readonly data: Float32Array } {
  const { width, height, channels } = image;
  const short = Math.min(width, height);
  const size =
    typeof resize === 'number'
      ? {
          height: Math.trunc((height * resize) / short),
          width: Math.trunc((width * resize) / short),
        }
      : resize;
  const sized = size === undefined ? image : resizeImage(image, size, filter);
  const { pixels, ...final } = crop === undefined ? sized : cropped(sized, crop);
  return {
    height: final.height,
    width: final.width,
    data: Float32Array.from(pixels, (x, i) => {
      const c = i % channels;
      const at = (list: readonly number[]) => list[c % list.length] as number;
      return (x * rescale - at(mean)) / at(deviation);
    }),
  };
}
