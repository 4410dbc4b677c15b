/** The picture of a run: for each work one line, on it each peer's ratio and its spread. */
import { scaleLog } from 'd3-scale';
import type { Row } from '../harness/compare.js';
import { short } from './numbers.js';
import type { Results } from './results.js';

const WIDTH = 960;
const LEFT = 170;
const RIGHT = 24;
const TOP = 92;
const ROW = 18;
const GAP = 12;

/** Colour-blind safe (Okabe & Ito), dark enough on white. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#444444'];

const escapeText = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c] ?? '&quot;');

const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${more === '' ? '' : ` ${more}`}>${escapeText(content)}</text>`;

const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, more = ''): string =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${stroke}" ${more}/>`;

interface Group {
  readonly work: string;
  readonly rows: readonly Row[];
}

/** Rows of one work together, in their order. */
const groupsOf = (rows: readonly Row[]): readonly Group[] =>
  [...new Set(rows.map(({ work }) => work))].map((work) => ({
    work,
    rows: rows.filter((row) => row.work === work),
  }));

/** An SVG of all rows: right of the line at 1, flatlora is faster. */
export function benchChart({ rows, machine }: Results): string {
  const groups = groupsOf(rows);
  const peers = [...new Set(rows.map(({ peer }) => peer))];
  const colour = (peer: string) => COLOURS[peers.indexOf(peer) % COLOURS.length] as string;
  const x = scaleLog()
    .domain([
      Math.min(0.5, ...rows.map(({ low }) => low)),
      Math.max(2, ...rows.map(({ high }) => high)),
    ])
    .range([LEFT, WIDTH - RIGHT])
    .nice();
  let y = TOP;
  const parts: string[] = [];
  for (const { work, rows: own } of groups) {
    const top = y;
    for (const { peer, ratio, low, high } of own) {
      const middle = y + ROW / 2;
      const title = `${work}, ${peer}: ${short(ratio)}× (${short(low)}–${short(high)})`;
      parts.push(
        `<g><title>${escapeText(title)}</title>`,
        line(x(low), middle, x(high), middle, colour(peer), 'stroke-width="2"'),
        `<circle cx="${x(ratio).toFixed(1)}" cy="${middle.toFixed(1)}" r="4.5" fill="${colour(peer)}"/>`,
        text(x(high) + 8, middle + 4, `${short(ratio)}×`, 'class="small"'),
        '</g>',
      );
      y += ROW;
    }
    parts.push(text(LEFT - 12, (top + y) / 2 + 4, work, 'text-anchor="end"'));
    y += GAP;
    parts.push(line(16, y - GAP / 2, WIDTH - RIGHT, y - GAP / 2, '#e5e5e5'));
  }
  const ticks = x
    .ticks()
    .filter((tick) => /^[125]/.test(tick.toExponential()))
    .flatMap((tick) => [
      line(
        x(tick),
        TOP - 8,
        x(tick),
        y,
        tick === 1 ? '#222' : '#e0e0e0',
        tick === 1 ? 'stroke-width="1.5"' : '',
      ),
      text(x(tick), TOP - 14, `${tick}×`, 'text-anchor="middle" class="small"'),
    ]);
  const subject = rows[0]?.subject ?? 'flatlora';
  const legend = peers.map((peer, i) => {
    const [column, row] = [i % 4, Math.floor(i / 4)];
    const [left, top] = [16 + column * 235, y + 24 + row * 20];
    return `<circle cx="${left + 5}" cy="${top - 4}" r="4.5" fill="${colour(peer)}"/>${text(left + 16, top, peer)}`;
  });
  const height = y + 34 + 20 * Math.ceil(peers.length / 4);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="#222">`,
    `<title>${escapeText(`Time of each engine over that of ${subject}`)}</title>`,
    '<style>.small{font-size:11px}text{paint-order:stroke;stroke:#fff;stroke-width:3px}.head{font-size:16px;font-weight:600}</style>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(16, 26, `Time of each engine over that of ${subject}`, 'class="head"'),
    text(
      16,
      46,
      `${machine.cpu}, ${machine.threads} threads. Right of 1: flatlora is faster. Dots: median; lines: 10th to 90th percentile of paired rounds. flat/…: Flat-LoRA's step over LoRA's.`,
      'class="small"',
    ),
    ...ticks,
    ...parts,
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}
