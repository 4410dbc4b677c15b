/**
 * The chapters of the book as modules: `virtual:book` lists them, `virtual:chapter/NAME` is one, rendered
 * while the site is built, with what it quotes from the source checked.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { renderPage } from './markdown.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Parts of the book, in the order in which they are read. */
const PARTS = [
  { title: 'The theory', folder: 'docs/theory' },
  { title: 'A tour of the engine', folder: 'docs/tour' },
] as const;

const LIST = 'virtual:book';
const CHAPTER = 'virtual:chapter/';

/** File of each chapter by its id; ids are told apart by the part's folder name. */
const chaptersOf = (folder: string) =>
  readdirSync(path.join(ROOT, folder))
    .filter((name) => /^\d\d-.*\.md$/.test(name))
    .sort()
    .map((name) => ({ id: name.replace(/\.md$/, ''), file: path.join(ROOT, folder, name) }));

export function bookPages(): Plugin {
  const files = new Map(
    PARTS.flatMap(({ folder }) => chaptersOf(folder)).map(({ id, file }) => [id, file]),
  );
  const render = (file: string) => renderPage(readFileSync(file, 'utf8'), ROOT);
  return {
    name: 'flatlora-book',
    resolveId: (id) => (id === LIST || id.startsWith(CHAPTER) ? `\0${id}` : undefined),
    load(id) {
      if (id === `\0${LIST}`) {
        const parts = PARTS.map(({ title, folder }) => {
          const chapters = chaptersOf(folder).map(({ id: own, file }) => {
            const { title: name } = render(file);
            return `{ id: ${JSON.stringify(own)}, title: ${JSON.stringify(name)}, load: () => import(${JSON.stringify(CHAPTER + own)}) }`;
          });
          return `{ title: ${JSON.stringify(title)}, chapters: [${chapters.join(', ')}] }`;
        });
        return `export const parts = [${parts.join(', ')}];`;
      }
      if (id.startsWith(`\0${CHAPTER}`)) {
        const file = files.get(id.slice(1 + CHAPTER.length));
        if (file === undefined) throw new Error(`${id.slice(1)}: there is no such chapter`);
        this.addWatchFile(file);
        return `export const html = ${JSON.stringify(render(file).html)};`;
      }
      return undefined;
    },
  };
}
