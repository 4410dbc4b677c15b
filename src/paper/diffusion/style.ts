/**
 * The new style of Figure 3. The paper's is "3D icons", whose mark is a square behind the thing
 * shown; ours is a shaded square behind the digit.
 */
import { flatData, type HostArray } from '../../autodiff/index.js';
import { laidOn } from './grounds.js';
import { SIDE } from './model.js';

/** The square covers all but the outermost pixels, without its corners. */
const FIRST = 1;
const LAST = SIDE - 2;

/** The square's brightness at a pixel, from 0 (none) to 1: brighter towards the upper left. */
function square(row: number, column: number): number {
  const inside = [row, column].every((i) => i >= FIRST && i <= LAST);
  const corner = [row, column].every((i) => i === FIRST || i === LAST);
  if (!inside || corner) return 0;
  return 0.6 - 0.35 * ((row + column - 2 * FIRST) / (2 * (LAST - FIRST)));
}

/** The square alone, row by row, from 0 to 1. */
export const SQUARE: readonly number[] = Array.from({ length: SIDE * SIDE }, (_, i) =>
  square(Math.floor(i / SIDE), i % SIDE),
);

/** Digits from −1 to 1 (−1 is empty paper) laid on the square: [n, 14, 14] → [n, 14, 14]. */
export const inStyle = (images: HostArray): HostArray => laidOn(images, () => square);

/**
 * The two outermost rows and columns of the square and what lies around it: 14·14 − 8·8 pixels, where
 * digits hardly ever have ink.
 */
const AROUND: readonly number[] = SQUARE.flatMap((_, i) => {
  const edge = [Math.floor(i / SIDE), i % SIDE].some((p) => p < 3 || p > SIDE - 4);
  return edge ? [i] : [];
});

/**
 * How far an image's surroundings are from the style's: the root of the mean squared difference from
 * the square, over the pixels around the digit, on the scale from 0 (black) to 1 (white).
 * @returns one number per image; 0 for an image with the square and no ink near it.
 */
export function squareErrors(images: HostArray): readonly number[] {
  const data = flatData(images);
  return Array.from({ length: images.shape[0] as number }, (_, n) => {
    const squares = AROUND.map((i) => {
      const value = ((data[n * SQUARE.length + i] as number) + 1) / 2;
      return (value - (SQUARE[i] as number)) ** 2;
    });
    return Math.sqrt(squares.reduce((sum, x) => sum + x, 0) / squares.length);
  });
}
