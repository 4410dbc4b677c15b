/** Sections of experiments as Markdown (with pictures as files beside it) and as one HTML page. */
import {
  element,
  escapeMarkdown,
  fragment,
  htmlDocument,
  htmlTable,
  type Markup,
  markdownTable,
  STYLE,
  styleSheet,
} from '../report/parts.js';
import type { Figure, Section } from './experiment.js';
import type { AnyExperiment } from './registry.js';
import { HOW_TO_READ } from './tables.js';

/** An experiment with what came of it. */
export interface Chapter {
  readonly experiment: Pick<AnyExperiment, 'name' | 'counterpart' | 'departures'>;
  readonly done: number;
  readonly cells: number;
  readonly sections: readonly Section[];
}

/** An experiment that was not run. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

export interface Report {
  readonly title: string;
  /** How it was made: commit, seeds, command. */
  readonly facts: readonly (readonly [string, string])[];
  readonly notices: readonly string[];
  readonly chapters: readonly Chapter[];
  readonly skipped: readonly Skipped[];
}

/** The file of a picture: `figures/table-2-0.svg`. */
const figureFile = (name: string, number: number): string => `figures/${name}-${number}.svg`;

const figuresOf = ({ sections }: Chapter): readonly Figure[] =>
  sections.flatMap(({ figures }) => figures);

const FONT = "svg { font-family: system-ui, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; }";

/** Standing alone, a picture brings its style sheet. */
const alone = (svg: string): string => svg.replace(/>/, `>${styleSheet(STYLE + FONT).markup}`);

/** Every picture of a report by the name of its file. */
export const figureFiles = ({ chapters }: Report): Readonly<Record<string, string>> =>
  Object.fromEntries(
    chapters.flatMap((chapter) =>
      figuresOf(chapter).map(({ svg }, i) => [
        figureFile(chapter.experiment.name, i),
        `${alone(svg)}\n`,
      ]),
    ),
  );

const progressText = ({ done, cells }: Chapter): string | null =>
  done < cells ? `${done} of ${cells} runs are done; the numbers are of these.` : null;

export function renderPaperMarkdown(report: Report): string {
  const chapterBlocks = (chapter: Chapter): readonly string[] => {
    let number = 0;
    const { experiment, sections } = chapter;
    const progress = progressText(chapter);
    return [
      `## ${escapeMarkdown(experiment.counterpart)} (\`${experiment.name}\`)`,
      ...(progress === null ? [] : [`**${progress}**`]),
      bulletsOf(experiment.departures),
      ...sections.flatMap(({ title, paragraphs, tables, figures }) => [
        `### ${escapeMarkdown(title)}`,
        ...paragraphs.map(escapeMarkdown),
        ...tables.map(markdownTable),
        ...figures.map(
          ({ caption }) =>
            `![${escapeMarkdown(caption)}](${figureFile(experiment.name, number++)})\n\n*${escapeMarkdown(caption)}*`,
        ),
      ]),
    ];
  };
  return `${[
    `# ${escapeMarkdown(report.title)}`,
    bulletsOf(report.facts.map(([name, value]) => `${name}: ${value}`)),
    ...report.notices.map((notice) => `**${escapeMarkdown(notice)}**`),
    HOW_TO_READ,
    ...(report.skipped.length > 0
      ? ['Not run:', bulletsOf(report.skipped.map(({ name, reason }) => `${name}: ${reason}`))]
      : []),
    ...report.chapters.flatMap(chapterBlocks),
  ]
    .filter((block) => block !== '')
    .join('\n\n')}\n`;
}

const bulletsOf = (rows: readonly string[]): string =>
  rows.map((row) => `- ${escapeMarkdown(row)}`).join('\n');

const list = (rows: readonly string[]): Markup | null =>
  rows.length === 0
    ? null
    : element(
        'ul',
        { class: 'findings' },
        rows.map((row) => element('li', {}, row)),
      );

const figure = ({ caption, svg }: Figure): Markup =>
  element('figure', {}, element('figcaption', {}, element('p', {}, caption)), { markup: svg });

const chapterHtml = (chapter: Chapter): Markup => {
  const progress = progressText(chapter);
  return element(
    'section',
    { id: chapter.experiment.name },
    element('h2', {}, `${chapter.experiment.counterpart} (${chapter.experiment.name})`),
    progress === null ? null : element('p', { class: 'notice' }, progress),
    list(chapter.experiment.departures),
    chapter.sections.map(({ title, paragraphs, tables, figures }) =>
      fragment(
        element('h3', {}, title),
        paragraphs.map((text) => element('p', {}, text)),
        tables.map((table) => htmlTable(table)),
        figures.length === 0
          ? null
          : element('div', { class: 'charts pairs' }, figures.map(figure)),
      ),
    ),
  );
};

export const renderPaperHtml = (report: Report): string =>
  htmlDocument(
    report.title,
    element('h1', {}, report.title),
    element(
      'dl',
      { class: 'facts' },
      report.facts.map(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
    ),
    report.notices.map((notice) => element('p', { class: 'notice' }, notice)),
    element('p', {}, HOW_TO_READ),
    report.skipped.length === 0
      ? null
      : fragment(
          element('h2', {}, 'Not run'),
          list(report.skipped.map(({ name, reason }) => `${name}: ${reason}`)),
        ),
    element(
      'ul',
      {},
      report.chapters.map(({ experiment }) =>
        element('li', {}, element('a', { href: `#${experiment.name}` }, experiment.counterpart)),
      ),
    ),
    report.chapters.map(chapterHtml),
  );
