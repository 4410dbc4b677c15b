/** The report for a terminal: plain text, columns aligned by spaces. */
import { findings } from './comparisons.js';
import type { Summary } from './summary.js';
import { differenceTables, resultsTable, runFacts, settingsTable, type Table } from './tables.js';

/** Longest line of running text. */
const WIDTH = 96;

/**
 * The whole report as plain text without colours, ending in a newline. The tables are as wide as
 * their cells; notes are broken at 96 characters.
 */
export function renderText(summary: Summary): string {
  const facts = [
    ...summary.data.map(({ role, name, origin, split }): readonly [string, string] => [
      role,
      `${name} (${origin}): ${split}`,
    ]),
    ...runFacts(summary),
  ];
  const blocks = [
    `${oneLine(summary.title)}\n${'='.repeat(width(oneLine(summary.title)))}`,
    columns(facts, 'left'),
    table(resultsTable(summary)),
    ...differenceTables(summary).map(table),
    table(settingsTable(summary)),
    ...notes(findings(summary)),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function table({ caption, head, rows, numeric }: Table): string {
  if (rows.length === 0 || head.length < 2) return '';
  const lines = columns([head, ...rows], numeric ? 'right' : 'left').split('\n');
  const rule = '-'.repeat(Math.max(...lines.map(width)));
  return [oneLine(caption), rule, lines[0], rule, ...lines.slice(1)].join('\n');
}

/** Cells padded to their column's width; the first column always flush left. */
function columns(rows: readonly (readonly string[])[], align: 'left' | 'right'): string {
  const clean = rows.map((row) => row.map(oneLine));
  const count = Math.max(0, ...clean.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, c) =>
    Math.max(...clean.map((row) => width(row[c] ?? ''))),
  );
  return clean
    .map((row) =>
      widths
        .map((size, c) => {
          const cell = row[c] ?? '';
          const space = ' '.repeat(size - width(cell));
          return c > 0 && align === 'right' ? space + cell : cell + space;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const notes = (lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : [lines.map((line) => wrapped(oneLine(line))).join('\n')];

/** A bullet, broken at spaces, its later lines indented. */
function wrapped(line: string): string {
  const lines = ['-'];
  for (const word of line.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`;
    if (width(longer) <= WIDTH) lines[lines.length - 1] = longer;
    else lines.push(`  ${word}`);
  }
  return lines.join('\n');
}

/** Code points, which is what a terminal shows in one cell for all characters used here. */
const width = (text: string): number => [...text].length;

/** Control characters (escape sequences, line breaks) become spaces: a cell is one line. */
const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');
