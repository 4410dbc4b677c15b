/**
 * Digits on grounds of all kinds, for pre-training: as SDXL has seen things in front of everything, so
 * this model has seen digits on empty paper and on shaded rectangles of any size and brightness.
 */
import {
  flatData,
  foldIn,
  type HostArray,
  hostArray,
  hostUniform,
  type Key,
} from '../../autodiff/index.js';
import { SIDE } from './model.js';

/** Share of digits that stay on empty paper. */
const PLAIN = 0.4;

/** Brightness from 0 to 1 at a pixel. */
export type Ground = (row: number, column: number) => number;

type Eight = readonly [number, number, number, number, number, number, number, number];

/** The ground that eight uniform numbers stand for. */
function groundOf([kind, top, bottom, left, right, level, down, across]: Eight): Ground {
  if (kind < PLAIN) return () => 0;
  const [first, last] = [Math.floor(4 * top), SIDE - 1 - Math.floor(4 * bottom)];
  const [start, end] = [Math.floor(4 * left), SIDE - 1 - Math.floor(4 * right)];
  return (row, column) => {
    if (row < first || row > last || column < start || column > end) return 0;
    const middle = 0.1 + 0.5 * level;
    const slope = (down - 0.5) * (row / SIDE - 0.5) + (across - 0.5) * (column / SIDE - 0.5);
    return Math.min(0.9, Math.max(0, middle + slope));
  };
}

/** Images from −1 to 1 (−1 is empty paper) laid on a ground: ink covers it. */
export const laidOn = (images: HostArray, groundOfImage: (image: number) => Ground): HostArray => {
  const grounds = Array.from({ length: images.shape[0] as number }, (_, n) => groundOfImage(n));
  return hostArray(
    Float32Array.from(flatData(images), (x, i) => {
      const pixel = i % (SIDE * SIDE);
      const ground = (grounds[(i - pixel) / (SIDE * SIDE)] as Ground)(
        Math.floor(pixel / SIDE),
        pixel % SIDE,
      );
      const ink = (x + 1) / 2;
      return 2 * (ground + (1 - ground) * ink) - 1;
    }),
    images.shape,
  );
};

/** Each image on a ground of its own, drawn from the key. */
export const onGrounds = (images: HostArray, key: Key): HostArray =>
  laidOn(images, (n) => groundOf(Array.from(hostUniform(foldIn(key, n), 8)) as unknown as Eight));
