/**
 * Pictures of flatness, from the results of `flatlora/sharpness`. Each function makes the description
 * of a chart: `lineChart` draws the lines, `surfaceChart` and `heatMap` the landscapes.
 */
import type { Interpolation, LossLines, LossSurface } from '../../flatlora/index.js';
import { formatMeasured } from '../format.js';
import type { Landscape } from '../summary.js';
import { type BandPoint, bandPoint } from './curves.js';
import type { LineChart } from './lineChart.js';

/** One method in a chart. */
export interface Named {
  readonly label: string;
  /** Which colour and marker: the method's place in the report. */
  readonly style: number;
}

/** What every chart needs to be told: a page-wide identifier and what was measured on what. */
export interface About {
  readonly id: string;
  /** Such as `training loss of 100 images`; the description names it. */
  readonly of: string;
}

const plain = (value: number): string => formatMeasured(value, 'significant');

/** Points of the finite values at each x; an x without any has no point. */
const pointsOf = (
  columns: readonly { readonly x: number; readonly values: readonly number[] }[],
): readonly BandPoint[] =>
  columns
    .map(({ x, values }) => ({ x, values: values.filter(Number.isFinite) }))
    .filter(({ values }) => values.length > 0)
    .map(({ x, values }) => bandPoint(x, values));

/** The i-th entries of all lists that have one. */
const column = (lists: readonly (readonly number[])[], i: number): readonly number[] =>
  lists.flatMap((list) => (i < list.length ? [list[i] as number] : []));

const length = (lists: readonly (readonly number[])[]): number =>
  Math.max(0, ...lists.map((list) => list.length));

export interface Spectrum extends Named {
  /** Largest eigenvalues of the Hessian, in falling order, one list for each seed. */
  readonly eigenvalues: readonly (readonly number[])[];
}

/** The largest Hessian eigenvalues by rank: mean ± standard deviation over seeds. */
export function spectrumLines({ id, of }: About, spectra: readonly Spectrum[]): LineChart {
  const count = length(spectra.flatMap(({ eigenvalues }) => eigenvalues));
  return {
    id,
    title: 'Largest Hessian eigenvalues',
    description: `Eigenvalues 1 to ${count} of the Hessian of the ${of}, mean and standard deviation over seeds; lower is flatter.`,
    xLabel: 'eigenvalue, the largest first',
    yLabel: 'curvature (loss / weight²)',
    series: spectra.map(({ label, style, eigenvalues }) => ({
      label,
      style,
      points: pointsOf(
        Array.from({ length: count }, (_, i) => ({ x: i + 1, values: column(eigenvalues, i) })),
      ),
    })),
    spread: 'bars',
    fromZero: true,
    xTicks: Array.from({ length: count }, (_, i) => ({ at: i + 1, text: String(i + 1) })),
    format: plain,
  };
}

export interface Rises extends Named {
  /** Loss rises, one list for each seed: an entry for each radius. */
  readonly rises: readonly (readonly number[])[];
}

export interface RiseAxis {
  /** The radii (ρ of the worst case, σ of Eq. 7), above 0 and increasing. */
  readonly radii: readonly number[];
  /** Such as `radius ρ` or `noise σ`. */
  readonly label: string;
}

/** Loss rise by radius, radii by their logarithms: mean ± standard deviation over seeds. */
export function riseLines(
  { id, of }: About,
  { radii, label: xLabel }: RiseAxis,
  methods: readonly Rises[],
): LineChart {
  return {
    id,
    title: `Loss rise by ${xLabel}`,
    description: `Rise of the ${of} at ${radii.length} radii, mean and standard deviation over seeds; lower is flatter.`,
    xLabel: `${xLabel} (logarithmic)`,
    yLabel: 'rise of the loss',
    series: methods.map(({ label, style, rises }) => ({
      label,
      style,
      points: pointsOf(radii.map((r, i) => ({ x: Math.log10(r), values: column(rises, i) }))),
    })),
    spread: 'bars',
    fromZero: true,
    xTicks: radii.map((r) => ({ at: Math.log10(r), text: String(r) })),
    format: plain,
  };
}

export interface NamedLines extends Named, LossLines {}

/** One-dimensional landscapes: mean ± standard deviation over random directions. */
export function landscapeLines({ id, of }: About, methods: readonly NamedLines[]): LineChart {
  const count = Math.max(0, ...methods.map(({ losses }) => losses.length));
  return {
    id,
    title: 'Loss along random directions',
    description: `The ${of} along ${count} random filter-normalised directions, mean and standard deviation over directions.`,
    xLabel: 'step along the direction (row norms)',
    yLabel: 'loss',
    series: methods.map(({ label, style, coordinates, losses }) => ({
      label,
      style,
      points: pointsOf(coordinates.map((x, i) => ({ x, values: column(losses, i) }))),
    })),
    spread: 'band',
    fromZero: false,
    format: plain,
  };
}

export interface NamedPaths extends Named {
  /** One path for each seed, all with the same coordinates. */
  readonly paths: readonly Pick<Interpolation, 'coordinates' | 'losses'>[];
}

/** Losses between two solutions: mean ± standard deviation over seeds. */
export function interpolationLines(
  { id, of }: About,
  ends: readonly [string, string],
  methods: readonly NamedPaths[],
): LineChart {
  return {
    id,
    title: `Loss between ${ends[0]} and ${ends[1]}`,
    description: `The ${of} on the straight line from ${ends[0]} (0) to ${ends[1]} (1), mean and standard deviation over seeds.`,
    xLabel: `from ${ends[0]} (0) to ${ends[1]} (1)`,
    yLabel: 'loss',
    series: methods.map(({ label, style, paths }) => ({
      label,
      style,
      points: pointsOf(
        (paths[0]?.coordinates ?? []).map((x, i) => ({
          x,
          values: column(
            paths.map(({ losses }) => losses),
            i,
          ),
        })),
      ),
    })),
    spread: 'band',
    fromZero: false,
    format: plain,
  };
}

/**
 * Surfaces over one grid as the landscape that `surfaceChart` and `heatMap` draw, whose rows run along
 * the second direction.
 */
export const landscapeOf = (
  description: string,
  surfaces: readonly {
    readonly method: string;
    readonly label: string;
    readonly surface: LossSurface;
  }[],
): Landscape => {
  const coordinates = surfaces[0]?.surface.coordinates ?? [];
  return {
    description,
    x: coordinates,
    y: coordinates,
    surfaces: surfaces.map(({ method, label, surface }) => ({
      method,
      label,
      loss: coordinates.map((_, j) => surface.losses.map((row) => row[j] ?? null)),
    })),
  };
};
