/** One height axis and one colour scale for all surfaces of a landscape, so that they compare. */
import { scaleLinear } from 'd3-scale';
import { isMeasured, type Landscape } from '../summary.js';
import type { Scale } from './frame.js';
import { extent } from './lineChart.js';

/** Cividis (Nuñez, Anderton, Renslow 2018): even in lightness, the same to colour-blind readers. */
const CIVIDIS: readonly string[] = [
  '#00224e',
  '#123570',
  '#3b496c',
  '#575d6d',
  '#707173',
  '#8a8678',
  '#a59c74',
  '#c3b369',
  '#e1cc55',
  '#fee838',
];

export interface HeightScale {
  /** From loss to 0…1. */
  readonly height: Scale;
  /** From loss to a colour. */
  readonly colour: (loss: number) => string;
  /** Round values for ticks and isolines. */
  readonly levels: readonly number[];
  readonly text: (loss: number) => string;
}

/** The scale over every measured loss of every surface; null when there is none. */
export function heightScale(landscape: Landscape): HeightScale | null {
  const losses = landscape.surfaces.flatMap(({ loss }) => loss.flat().filter(isMeasured));
  if (losses.length === 0) return null;
  const height = scaleLinear().domain(extent(losses)).nice(6).range([0, 1]);
  const colour = scaleLinear<string>()
    .domain(CIVIDIS.map((_, i) => height.invert(i / (CIVIDIS.length - 1))))
    .range(CIVIDIS)
    .clamp(true);
  return { height, colour, levels: height.ticks(6), text: height.tickFormat(6) };
}
