/** Curves of several seeds as one mean curve with a band. */
import { mean, standardDeviation } from '../statistics.js';
import { type Curve, isMeasured } from '../summary.js';

export interface BandPoint {
  readonly x: number;
  readonly mean: number;
  /** Mean − and + one sample standard deviation over seeds; equal to the mean for one seed. */
  readonly low: number;
  readonly high: number;
}

/** The most points that a curve is drawn with. */
export const MOST_POINTS = 100;

/** Consecutive points averaged so that at most `MOST_POINTS` remain; a short curve is unchanged. */
export function thinned(curve: Curve): Curve {
  const size = Math.ceil(curve.length / MOST_POINTS);
  if (size <= 1) return curve;
  return Array.from({ length: Math.ceil(curve.length / size) }, (_, i) => {
    const part = curve.slice(i * size, (i + 1) * size);
    const values = part.map(([, value]) => value).filter(isMeasured);
    return [mean(part.map(([step]) => step)), values.length > 0 ? mean(values) : null] as const;
  });
}

/** Mean and band at every step that at least one seed measured. */
export function bandOverSeeds(curves: readonly Curve[]): readonly BandPoint[] {
  const byStep = new Map<number, number[]>();
  for (const curve of curves.map(thinned)) {
    for (const [step, value] of curve) {
      if (isMeasured(value)) byStep.set(step, [...(byStep.get(step) ?? []), value]);
    }
  }
  return [...byStep].sort(([a], [b]) => a - b).map(([x, values]) => bandPoint(x, values));
}

/** Mean ± sample standard deviation of at least one value. */
export function bandPoint(x: number, values: readonly number[]): BandPoint {
  const centre = mean(values);
  const spread = values.length > 1 ? standardDeviation(values) : 0;
  return { x, mean: centre, low: centre - spread, high: centre + spread };
}
