/** Images in rows with a name each, as one SVG. */
import { element, type Markup } from '../../report/parts.js';
import { pngUrl } from './png.js';

const CELL = 30;
const GAP = 3;
const LEFT = 92;
const TOP = 18;

/** Rows of images that belong together. */
export interface GridBand {
  readonly label: string;
  /** A row of images; they stand from the left, one a column. */
  readonly rows: readonly (readonly Uint8Array[])[];
}

/** Bands below one another; images are enlarged without smoothing. */
export function imageGrid(
  title: string,
  columns: readonly string[],
  bands: readonly GridBand[],
): string {
  const place = (column: number) => LEFT + column * (CELL + GAP);
  let y = TOP;
  const parts: Markup[] = columns.map((text, i) =>
    element('text', { x: place(i) + CELL / 2, y: TOP - 6, 'text-anchor': 'middle' }, text),
  );
  for (const { label, rows } of bands) {
    parts.push(element('text', { class: 'name', x: 2, y: y + CELL / 2 + 4 }, label));
    for (const row of rows) {
      row.forEach((pixels, i) => {
        parts.push(
          element('image', {
            x: place(i),
            y,
            width: CELL,
            height: CELL,
            href: pngUrl(pixels),
            style: 'image-rendering: pixelated',
          }),
        );
      });
      y += CELL + GAP;
    }
    y += 3 * GAP;
  }
  const widest = Math.max(
    columns.length,
    ...bands.flatMap(({ rows }) => rows.map((r) => r.length)),
  );
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${place(widest)} ${y}`,
      role: 'img',
      'aria-label': title,
    },
    ...parts,
  ).markup;
}
