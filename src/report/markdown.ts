/** The report as GitHub-flavoured Markdown, for a README or an issue. */
import { findings } from './comparisons.js';
import type { Summary } from './summary.js';
import {
  dataTable,
  differenceTables,
  resultsTable,
  runFacts,
  settingsTable,
  type Table,
} from './tables.js';

/** The whole report as Markdown, ending in a newline. Texts of the summary are escaped. */
export function renderMarkdown(summary: Summary): string {
  const blocks = [
    `# ${escapeMarkdown(summary.title)}`,
    bullets(findings(summary)),
    markdownTable(resultsTable(summary)),
    ...differenceTables(summary).map(markdownTable),
    markdownTable(settingsTable(summary)),
    markdownTable(dataTable(summary)),
    bullets(runFacts(summary).map(([name, value]) => `${name}: ${value}`)),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

/** A table with its caption; nothing where it has no rows. */
export function markdownTable({ caption, head, rows, numeric }: Table): string {
  if (rows.length === 0 || head.length < 2) return '';
  const line = (cells: readonly string[]) => `| ${cells.map(escapeMarkdown).join(' | ')} |`;
  const align = head.map((_, c) => (numeric && c > 0 ? '---:' : '---'));
  return [
    `**${escapeMarkdown(caption)}**`,
    '',
    line(head),
    `| ${align.join(' | ')} |`,
    ...rows.map(line),
  ].join('\n');
}

const bullets = (lines: readonly string[]): string =>
  lines.map((line) => `- ${escapeMarkdown(line)}`).join('\n');

/** Everything that Markdown or the HTML inside it could read as more than text. */
export const escapeMarkdown = (text: string): string =>
  text
    .replace(/\p{Cc}+/gu, ' ')
    .replace(/[\\`*_[\]|~]/g, '\\$&')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;');
