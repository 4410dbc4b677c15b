/**
 * Digits that the project draws itself, in two hands, so that everything runs on a machine with
 * no data and no network. Going from `upright` to `slanted` is a change of domain like going from
 * optdigits to semeion: other letter shapes, slant, stroke width, size, and grey against binary.
 */
import ndarray from 'ndarray';
import {
  foldIn,
  hostNormal,
  hostPermutation,
  hostUniform,
  type Key,
  split,
} from '../autodiff/random/keys.js';
import { clamp } from './clamp.js';
import { GLYPHS, type Glyph, type Hand, type Point } from './glyphs.js';
import { glyphSegments, rasterise } from './raster.js';
import { DIGIT_CLASSES, type ImageDataset } from './types.js';

/** Side of a drawn image in pixels. */
export const DRAWN_SIDE = 16;

/** A range [least, most] from which each image draws uniformly. */
type Range = readonly [number, number];

/** What makes a hand, besides its glyphs. Lengths are in pixels of the 16×16 image. */
interface Style {
  /** Width and height of the box into which the glyph is written. */
  readonly width: Range;
  readonly height: Range;
  /** Sideways lean: pixels to the right per pixel upwards. */
  readonly slant: Range;
  /** Tangent of half the angle of rotation. */
  readonly turn: Range;
  /** How far the centre may lie from the image's centre, each way. */
  readonly shift: number;
  /** Standard deviation by which each control point is displaced, in units of the box. */
  readonly wobble: number;
  /** Half the stroke's width. */
  readonly radius: Range;
  /** Width of the stroke's soft edge. */
  readonly softness: number;
  /** Darkness of full ink, 0 to 1. */
  readonly ink: Range;
  /** Standard deviation of the noise per pixel, before binarisation where there is one. */
  readonly noise: number;
  /** Pixels above it become 1, all others 0; undefined keeps the grey values. */
  readonly threshold: number | undefined;
}

const STYLES: Readonly<Record<Hand, Style>> = {
  // A soft grey image, as of a coarse scan: what optdigits looks like when enlarged.
  upright: {
    width: [6.5, 9],
    height: [10.5, 13],
    slant: [-0.1, 0.15],
    turn: [-0.05, 0.05],
    shift: 0.7,
    wobble: 0.055,
    radius: [0.8, 1.2],
    softness: 1.8,
    ink: [0.8, 1],
    noise: 0.03,
    threshold: undefined,
  },
  // A leaning pen of changing width that fills the frame, binarised with ragged edges: semeion.
  slanted: {
    width: [8, 11.5],
    height: [12.5, 14.5],
    slant: [0.2, 0.5],
    turn: [-0.05, 0.08],
    shift: 0.8,
    wobble: 0.055,
    radius: [0.6, 1.35],
    softness: 1,
    ink: [1, 1],
    noise: 0.16,
    threshold: 0.5,
  },
};

const within = ([least, most]: Range, uniform: number): number => least + (most - least) * uniform;

/** A glyph whose control points have each been moved by normal numbers from `draw`. */
const wobbled = (glyph: Glyph, size: number, draw: () => number): Glyph =>
  glyph.map((stroke) => ({
    ...stroke,
    points: stroke.points.map(([x, y]): Point => [x + size * draw(), y + size * draw()]),
  }));

/** Control points of the longest glyph are fewer than this. */
const MAX_POINTS = 32;

/** The next normal number of a fixed supply, as a function. */
function supply(key: Key, count: number): () => number {
  const numbers = hostNormal(key, count);
  let used = 0;
  return () => numbers[used++] as number;
}

/** One image [16 · 16] of `digit`; the key decides everything else. */
function drawDigit(hand: Hand, digit: number, key: Key): Float32Array {
  const style = STYLES[hand];
  const [choices, points, pixels] = split(key, 3) as [Key, Key, Key];
  const [variant, width, height, slant, turn, right, down, radius, ink] = hostUniform(
    choices,
    9,
  ) as unknown as readonly [number, number, number, number, number, number, number, number, number];

  const variants = GLYPHS[hand][digit] as readonly Glyph[];
  const glyph = variants[Math.floor(variant * variants.length)] as Glyph;
  const scale = [within(style.width, width), within(style.height, height)] as const;
  const lean = within(style.slant, slant);
  // (1 − t²)/(1 + t²) and 2t/(1 + t²) are the cosine and sine of twice the angle with tangent t.
  const t = within(style.turn, turn);
  const [cosine, sine] = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)];
  const middle = [
    DRAWN_SIDE / 2 + within([-style.shift, style.shift], right),
    DRAWN_SIDE / 2 + within([-style.shift, style.shift], down),
  ] as const;
  const toPixels = ([x, y]: Point): Point => {
    const v = scale[1] * (y - 0.5);
    const u = scale[0] * (x - 0.5) - lean * v;
    return [middle[0] + cosine * u - sine * v, middle[1] + sine * u + cosine * v];
  };

  const strokes = wobbled(glyph, style.wobble, supply(points, 2 * MAX_POINTS));
  const pen = { radius: within(style.radius, radius), softness: style.softness };
  const drawing = rasterise(glyphSegments(strokes, toPixels), pen, DRAWN_SIDE);
  const noise = supply(pixels, drawing.length);
  const darkness = within(style.ink, ink);
  return Float32Array.from(drawing, (value) => {
    const grey = darkness * value + style.noise * noise();
    if (style.threshold !== undefined) return grey > style.threshold ? 1 : 0;
    return clamp(grey, 1);
  });
}

export interface DrawnDigitsOptions {
  readonly hand: Hand;
  /** Number of images, a positive integer. */
  readonly count: number;
  /** Decides every image; image i depends on the key and i alone, not on `count`. */
  readonly key: Key;
}

/**
 * Draws `count` labelled digits. In every run of ten images (0–9, 10–19, …) each digit occurs
 * once, in random order, so the classes are as balanced as `count` permits.
 * @returns images [count, 16, 16], labels [count].
 * @throws RangeError where `count` is not a positive integer.
 */
export function drawnDigits({ hand, count, key }: DrawnDigitsOptions): ImageDataset {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`drawnDigits: count must be a positive integer, given ${count}`);
  }
  const [orders, drawings] = split(key) as [Key, Key];
  const runs = Array.from({ length: Math.ceil(count / 10) }, (_, run) =>
    Array.from(hostPermutation(foldIn(orders, run), 10)),
  );
  const labels = Int32Array.from(runs.flat().slice(0, count));
  const size = DRAWN_SIDE * DRAWN_SIDE;
  const images = new Float32Array(count * size);
  labels.forEach((digit, i) => {
    images.set(drawDigit(hand, digit, foldIn(drawings, i)), i * size);
  });
  return {
    name: `drawn/${hand}`,
    images: ndarray(images, [count, DRAWN_SIDE, DRAWN_SIDE]),
    labels: ndarray(labels, [count]),
    classes: DIGIT_CLASSES,
  };
}
