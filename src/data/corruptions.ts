/**
 * Corruptions of grey images at five severities, in the manner of CIFAR-10-C (Hendrycks &
 * Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
 * ICLR 2019), calibrated anew for digits of 16×16: severity 1 hardly disturbs a reader, severity 5
 * leaves digits that take a second look. Lengths are in sixteenths of the image's side, so other
 * sizes are treated in proportion.
 *
 * Every image has its own key, `foldIn(key, row)`: its corruption does not depend on the rest of
 * the batch. Results are clipped to 0 … 1.
 */
import ndarray from 'ndarray';
import { foldIn, hostNormal, hostUniform, type Key, split } from '../autodiff/random/keys.js';
import { clamp } from './clamp.js';
import { flatImages, type Images } from './types.js';

/** 1 is mild, 5 is strong. */
export type Severity = 1 | 2 | 3 | 4 | 5;

export const SEVERITIES: readonly Severity[] = [1, 2, 3, 4, 5];

/**
 * Corrupts grey images [n, h, w] into new ones of the same shape; the key decides the noise.
 * @param rows the images' rows in a larger set, where they are a part of one: they get the noise that
 *   they would get there. 0, 1, … by default.
 */
export type Corrupt = (
  images: Images,
  severity: Severity,
  key: Key,
  rows?: readonly number[],
) => Images;

export interface Corruption {
  readonly name: string;
  readonly apply: Corrupt;
}

/** One grey image, row-major. */
interface Picture {
  readonly pixels: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** Lifts a function on one picture to a batch; `levels` are its strengths at severities 1 to 5. */
function perImage(
  levels: readonly [number, number, number, number, number],
  apply: (picture: Picture, level: number, key: Key) => ArrayLike<number>,
): Corrupt {
  return (images, severity, key, rows) => {
    const [count = 0, height = 0, width = 0, ...channels] = images.shape;
    const level = levels[severity - 1];
    if (level === undefined) {
      throw new RangeError(`corruption: severity must be 1, 2, 3, 4 or 5, given ${severity}`);
    }
    if (images.dimension !== 3 || channels.length > 0) {
      throw new RangeError(`corruption: images must be [n, h, w], given [${images.shape}]`);
    }
    const from = flatImages(images);
    const size = height * width;
    const to = new Float32Array(count * size);
    for (let n = 0; n < count; n++) {
      const pixels = from.subarray(n * size, (n + 1) * size);
      to.set(apply({ pixels, height, width }, level, foldIn(key, rows?.[n] ?? n)), n * size);
    }
    return ndarray(
      to.map((value) => clamp(value, 1)),
      [count, height, width],
    );
  };
}

/** Makes a picture's pixels from a function of row and column. */
const paint = ({ height, width }: Picture, value: (y: number, x: number) => number): Float32Array =>
  Float32Array.from({ length: height * width }, (_, i) => value(Math.floor(i / width), i % width));

/** The picture at a real position in pixel units, bilinear, its border pixels repeated outside. */
function sample({ pixels, height, width }: Picture, y: number, x: number): number {
  const [row, column] = [clamp(y, height - 1), clamp(x, width - 1)];
  const [top, left] = [Math.floor(row), Math.floor(column)];
  const [bottom, right] = [Math.min(top + 1, height - 1), Math.min(left + 1, width - 1)];
  const [v, u] = [row - top, column - left];
  const at = (r: number, c: number): number => pixels[r * width + c] as number;
  return (
    (1 - v) * ((1 - u) * at(top, left) + u * at(top, right)) +
    v * ((1 - u) * at(bottom, left) + u * at(bottom, right))
  );
}

/** Adds a normal number to each pixel; levels are standard deviations. */
const gaussianNoise = perImage([0.08, 0.16, 0.24, 0.34, 0.45], ({ pixels }, sigma, key) => {
  const noise = hostNormal(key, pixels.length);
  return pixels.map((value, i) => value + sigma * (noise[i] as number));
});

/** Turns pixels to black or white (even chances); levels are the share of pixels. */
const impulseNoise = perImage([0.03, 0.07, 0.12, 0.18, 0.26], ({ pixels }, share, key) => {
  const uniform = hostUniform(key, pixels.length);
  return pixels.map((value, i) => {
    const u = uniform[i] as number;
    return u < share / 2 ? 0 : u < share ? 1 : value;
  });
});

/** Noise that grows with the ink, as of a dirty pen; levels are standard deviations at full ink. */
const speckleNoise = perImage([0.15, 0.3, 0.45, 0.65, 0.9], ({ pixels }, sigma, key) => {
  const noise = hostNormal(key, pixels.length);
  return pixels.map((value, i) => value * (1 + sigma * (noise[i] as number)));
});

/** The most that one round of blurring may add to the variance; above ½ it is no longer smooth. */
const VARIANCE_PER_ROUND = 0.45;

/**
 * A Gaussian blur, made of equal rounds of the kernel [s/2, 1 − s, s/2] in each direction (no
 * exponential, hence the same bits everywhere). Levels are standard deviations.
 */
const blur = perImage([0.5, 0.75, 1, 1.3, 1.65], (picture, sigma) => {
  const { height, width } = picture;
  // Variances add up: a round has s pixels², all rounds together σ².
  const variance = ((sigma * width) / 16) ** 2;
  const rounds = Math.max(3, Math.ceil(variance / VARIANCE_PER_ROUND));
  const s = variance / rounds;
  let pixels = picture.pixels;
  for (let round = 0; round < rounds; round++) {
    for (const [dy, dx] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const from = pixels;
      const at = (y: number, x: number): number =>
        from[clamp(y, height - 1) * width + clamp(x, width - 1)] as number;
      pixels = paint(
        picture,
        (y, x) => (1 - s) * at(y, x) + (s / 2) * (at(y - dy, x - dx) + at(y + dy, x + dx)),
      );
    }
  }
  return pixels;
});

/** Pulls pixels towards the picture's mean; levels are the share of contrast that is lost. */
const contrast = perImage([0.3, 0.5, 0.65, 0.77, 0.87], ({ pixels }, lost) => {
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  return pixels.map((value) => mean + (1 - lost) * (value - mean));
});

/** Adds light to the whole picture, which saturates the ink; levels are what is added. */
const brightness = perImage([0.12, 0.24, 0.36, 0.5, 0.65], ({ pixels }, light) =>
  pixels.map((value) => value + light),
);

/** Side of the coarse grid of random displacements behind `elastic`. */
const ELASTIC_GRID = 5;

/**
 * Moves the paper like rubber: a 5×5 grid of random displacements, interpolated. Levels are the
 * displacements' standard deviation per axis, in sixteenths of the side.
 */
const elastic = perImage([0.45, 0.8, 1.15, 1.5, 1.9], (picture, level, key) => {
  const { height, width } = picture;
  const cells = ELASTIC_GRID * ELASTIC_GRID;
  const [down, right] = split(key).map(
    (part): Picture => ({
      pixels: Float32Array.from(hostNormal(part, cells)),
      height: ELASTIC_GRID,
      width: ELASTIC_GRID,
    }),
  ) as [Picture, Picture];
  const reach = (ELASTIC_GRID - 1) / (width - 1 || 1);
  const climb = (ELASTIC_GRID - 1) / (height - 1 || 1);
  return paint(picture, (y, x) =>
    sample(
      picture,
      y + ((level * height) / 16) * sample(down, y * climb, x * reach),
      x + ((level * width) / 16) * sample(right, y * climb, x * reach),
    ),
  );
});

/**
 * Averages over square cells. Levels are the cell's side in sixteenths of the picture's; cells are
 * laid from the top left and need not hold whole pixels (a pixel belongs to its centre's cell).
 */
const pixelate = perImage([1.33, 1.6, 2, 2.3, 2.67], (picture, level) => {
  const { pixels, height, width } = picture;
  const across = Math.max(1, Math.round(16 / level));
  const cellOf = (y: number, x: number): number =>
    Math.floor(((y + 0.5) * across) / height) * across + Math.floor(((x + 0.5) * across) / width);
  const sums = new Float64Array(across * across);
  const counts = new Float64Array(across * across);
  pixels.forEach((value, i) => {
    const cell = cellOf(Math.floor(i / width), i % width);
    sums[cell] = (sums[cell] as number) + value;
    counts[cell] = (counts[cell] as number) + 1;
  });
  return paint(picture, (y, x) => {
    const cell = cellOf(y, x);
    return (sums[cell] as number) / (counts[cell] as number);
  });
});

/**
 * Lays a grey square (½) over the picture, its place uniform among those inside the frame. Levels
 * are the square's side in sixteenths of the picture's.
 */
const occlusion = perImage([3, 4, 5, 6, 7.5], (picture, level, key) => {
  const { pixels, height, width } = picture;
  const [tall, wide] = [Math.round((level * height) / 16), Math.round((level * width) / 16)];
  const [v, u] = hostUniform(key, 2) as unknown as readonly [number, number];
  const top = Math.floor(v * (height - tall + 1));
  const left = Math.floor(u * (width - wide + 1));
  return paint(picture, (y, x) =>
    y >= top && y < top + tall && x >= left && x < left + wide
      ? 0.5
      : (pixels[y * width + x] as number),
  );
});

/** All corruptions, in the order in which reports list them. */
export const corruptions: readonly Corruption[] = [
  { name: 'gaussian-noise', apply: gaussianNoise },
  { name: 'impulse-noise', apply: impulseNoise },
  { name: 'speckle-noise', apply: speckleNoise },
  { name: 'blur', apply: blur },
  { name: 'contrast', apply: contrast },
  { name: 'brightness', apply: brightness },
  { name: 'elastic', apply: elastic },
  { name: 'pixelate', apply: pixelate },
  { name: 'occlusion', apply: occlusion },
];
