/** The picture of Figure 3: training images, and samples from the same noise before and after. */
import type { CellResult, Figure, Surroundings } from '../experiment.js';
import { select, type Where } from '../tables.js';
import { lengths, SIGMA, WITHHELD } from './cells.js';
import { imageGrid } from './imageGrid.js';
import { fromText } from './png.js';
import { KEPT_PER_CLASS } from './run.js';

const DIGITS = Array.from({ length: 10 }, (_, i) => String(i));
const COLUMNS = DIGITS.map((digit, i) => (WITHHELD.includes(i) ? `${digit}*` : digit));

/** The samples of a result: row r has sample r of every class. */
function sampleRows(result: CellResult | undefined): readonly (readonly Uint8Array[])[] {
  const images = fromText(String(result?.measures.samples ?? ''));
  const perClass = images.length / DIGITS.length;
  return Array.from({ length: perClass }, (_, row) =>
    DIGITS.map((_digit, i) => images[i * perClass + row] as Uint8Array),
  );
}

/** The grid of the first seed; none while LoRA has no result. */
export function pictures(
  results: readonly CellResult[],
  surroundings: Surroundings,
): readonly Figure[] {
  const [steps, more] = lengths(surroundings);
  const first = (where: Where) => select(results, where)[0];
  const lora = first({ method: 'lora', steps });
  if (lora === undefined) return [];
  const training = fromText(String(lora.measures.training));
  const perRow = Math.ceil(training.length / 2);
  const both = (count: number) => [
    { label: `LoRA, ${count}`, rows: sampleRows(first({ method: 'lora', steps: count })) },
    {
      label: `Flat, ${count}`,
      rows: sampleRows(first({ method: 'flat-lora', steps: count, sigma: SIGMA })),
    },
  ];
  const caption =
    `Top: the ${training.length} training images of seed ${lora.cell.seed}. Below ${KEPT_PER_CLASS} samples of each ` +
    `class, column by column from the same noise: before adaptation, with LoRA and Flat-LoRA (σ ${SIGMA}) after ` +
    `${steps} and after ${more} steps; last, real digits in the style. Classes with a star were in no training image.`;
  const bands = [
    { label: 'Training', rows: [training.slice(0, perRow), training.slice(perRow)] },
    { label: 'Before', rows: sampleRows(first({ method: 'before' })) },
    ...both(steps),
    ...both(more),
    { label: 'Real', rows: sampleRows(first({ method: 'real' })) },
  ].filter(({ rows }) => rows.length > 0);
  return [{ caption, svg: imageGrid(caption, COLUMNS, bands) }];
}
