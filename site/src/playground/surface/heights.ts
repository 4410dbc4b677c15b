/** From losses to heights, the same for both surfaces. */
import type { Grid } from './Surface.js';

/** Losses at both ends of all grids. */
export function rangeOf(grids: readonly Grid[]): readonly [number, number] {
  const all = grids.flatMap(({ losses }) => losses.flat()).filter(Number.isFinite);
  return [Math.min(...all), Math.max(...all)];
}

/** 0 to 1, by the logarithm where losses span more than a decade: minima are small. */
export function heightScale([low, high]: readonly [number, number]): (loss: number) => number {
  const floor = Math.max(low, 1e-4);
  if (high / floor < 10) {
    return (loss) => (high === low ? 0 : (Math.min(loss, high) - low) / (high - low));
  }
  const span = Math.log(high / floor);
  return (loss) => Math.max(0, Math.log(Math.max(Math.min(loss, high), floor) / floor) / span);
}
