/**
 * Figure 1: a minimum that is flat in the space of LoRA's factors may be sharp in the full space. The
 * paper's figure is a sketch; here both spaces are measured.
 */

import path from 'node:path';
import { range } from '../../autodiff/index.js';
import { interpolate } from '../../flatlora/index.js';
import { programRunner } from '../../kernels/index.js';
import {
  interpolationLines,
  type LineChart,
  landscapeLines,
  riseLines,
  spectrumLines,
} from '../../report/parts.js';
import { seedsOf } from '../cells.js';
import { lines } from '../charts.js';
import type { Cell, CellResult, Experiment, Figure } from '../experiment.js';
import { differencesTable, measuresTable, select, type Where } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { TASK_FOLDERS } from '../vision/data.js';
import { COMPARED_RADIUS, measureFlatness, RADII, REACH, type Space } from '../vision/flatness.js';
import { taskLoss } from '../vision/model.js';
import { prepareVision, trainCell, type VisionPremises } from '../vision/run.js';
import { SAME_SET_UP } from '../vision/texts.js';

const METHODS: readonly { readonly label: string; readonly where: Where }[] = [
  { label: 'LoRA', where: { method: 'lora', way: 'alone' } },
  { label: 'SAM on A, B', where: { method: 'lora-sam', way: 'alone' } },
  { label: 'Flat-LoRA', where: { method: 'flat-lora', way: 'alone' } },
];
/** Cells that train both LoRA and Flat-LoRA of a seed, and look at the path from one to the other. */
const BETWEEN: Where = { method: 'flat-lora', way: 'between' };

const SPACES: readonly { readonly space: Space; readonly name: string }[] = [
  { space: 'factors', name: "the space of LoRA's factors" },
  { space: 'weights', name: 'the space of the merged weights' },
];

const MEASURES = [
  { measure: 'top', label: 'top Hessian eigenvalue' },
  { measure: 'trace', label: 'trace of the Hessian' },
  { measure: 'worst', label: `worst rise within ρ = ${COMPARED_RADIUS}` },
];

/** The second numbers of a curve, one list for each run. */
const curves = (results: readonly CellResult[], where: Where, measure: string) =>
  select(results, where).flatMap(({ measures }) => {
    const curve = measures[measure];
    return Array.isArray(curve) ? [curve.map(([, y]) => y as number)] : [];
  });

const texts = (results: readonly CellResult[], where: Where, measure: string) =>
  select(results, where).flatMap(({ measures }) => {
    const text = measures[measure];
    return typeof text === 'string' ? (JSON.parse(text) as number[][]) : [];
  });

const drawn = (chart: LineChart, caption = chart.description): readonly Figure[] =>
  lines({ ...chart, caption });

function figuresOf(results: readonly CellResult[], space: Space, name: string): readonly Figure[] {
  const about = (kind: string) => ({
    id: `figure-1-${kind}-${space}`,
    of: `training loss in ${name}`,
  });
  const named = METHODS.map(({ label, where }, style) => ({ label, style, where }));
  const alongLines = landscapeLines(
    about('lines'),
    named.map(({ where, ...method }) => {
      const losses = texts(results, where, `lines-${space}`);
      const last = (losses[0]?.length ?? 1) - 1;
      const coordinates = range(last + 1).map((i) => REACH * ((2 * i) / last - 1));
      return { ...method, coordinates, losses };
    }),
  );
  return [
    ...drawn(
      { ...alongLines, yLabel: 'rise of the loss' },
      `Rise of the training loss in ${name} along random filter-normalised directions, the same for all methods and seeds; mean ± sd over directions and seeds.`,
    ),
    ...drawn(
      spectrumLines(
        about('spectrum'),
        named.map(({ where, ...method }) => ({
          ...method,
          eigenvalues: curves(results, where, `spectrum-${space}`),
        })),
      ),
    ),
    ...drawn(
      riseLines(
        about('rises'),
        { radii: RADII[space], label: 'radius ρ' },
        named.map(({ where, ...method }) => ({
          ...method,
          rises: curves(results, where, `rises-${space}`),
        })),
      ),
    ),
  ];
}

/** The path from LoRA's solution to Flat-LoRA's. */
function pathFigure(results: readonly CellResult[]): readonly Figure[] {
  const paths = select(results, BETWEEN).flatMap(({ measures: { path: curve } }) =>
    Array.isArray(curve)
      ? [
          {
            coordinates: curve.map(([x]) => x as number),
            losses: curve.map(([, y]) => y as number),
          },
        ]
      : [],
  );
  return drawn(
    interpolationLines(
      { id: 'figure-1-path', of: 'training loss' },
      ['LoRA', 'Flat-LoRA'],
      [{ label: 'merged weights', style: 0, paths }],
    ),
  );
}

export const figure1: Experiment<VisionPremises> = {
  name: 'figure-1',
  counterpart: 'Figure 1: flat in the space of LoRA, sharp in the full space',
  departures: [
    "The paper's figure is a sketch. Here curvature (Lanczos, Hutchinson), the worst case within a radius (10 steps of ascent) and losses along random filter-normalised directions are measured on all training images in both spaces.",
    SAME_SET_UP,
  ],
  data: [TASK_FOLDERS['fashion-mnist']],
  cells: (surroundings) =>
    [...METHODS.slice(surroundings.quick ? 2 : 0).map(({ where }) => where), BETWEEN].flatMap(
      ({ method, way }) =>
        seedsOf(surroundings).map((seed) =>
          visionCell(surroundings, 'fashion-mnist', method as string, seed, { way: way as string }),
        ),
    ),
  prepare: prepareVision,
  run: async (cell, premises, context) => {
    const run = await trainCell(cell, premises, context);
    if (run === undefined) return undefined;
    if (cell.way === 'alone') return measureFlatness(run, context);
    const { seed } = cell;
    const other: Cell = {
      ...visionCell(context, 'fashion-mnist', 'lora', seed as number),
      way: 'between',
    };
    const folder = path.join(context.folder, 'other');
    const lora = await trainCell(other, premises, { ...context, folder });
    if (lora === undefined) return undefined;
    const { coordinates, losses, barrier } = await interpolate(
      programRunner(context.backend),
      taskLoss,
      lora.tuned.merged,
      run.tuned.merged,
      [run.images],
      { points: context.quick ? 3 : 11, beyond: 0.5 },
    );
    return { barrier, path: coordinates.map((t, i) => [t, losses[i] as number] as const) };
  },
  report: (results) => [
    ...SPACES.map(({ space, name }) => ({
      title: `In ${name}`,
      paragraphs: [],
      tables: [
        measuresTable(
          'Mean ± sd over seeds; lower is flatter',
          results,
          METHODS,
          MEASURES.map(({ measure, label }) => ({
            label,
            measure: `${measure}-${space}`,
            format: 'significant',
          })),
        ),
        ...MEASURES.map(({ measure, label }) =>
          differencesTable(
            `Minus LoRA: ${label}, paired by seed`,
            results,
            METHODS.slice(1).map((method) => ({
              label: method.label,
              a: method.where,
              b: METHODS[0]?.where as Where,
            })),
            { measure: `${measure}-${space}`, format: 'significant', better: 'lower' },
          ),
        ),
      ],
      figures: figuresOf(results, space, name),
    })),
    {
      title: 'Between the two solutions',
      paragraphs: [
        'LoRA and Flat-LoRA of one seed start at the same adapters. A barrier of 0 says that both ended in one basin.',
      ],
      tables: [
        measuresTable(
          'Mean ± sd over seeds',
          results,
          [{ label: 'LoRA to Flat-LoRA', where: BETWEEN }],
          [{ label: 'Barrier of the training loss', measure: 'barrier', format: 'significant' }],
        ),
      ],
      figures: pathFigure(results),
    },
  ],
};
