/** The table of methods: it leaves out no method, and its links lead somewhere. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { methodNames } from '../../src/finetune/methods.js';
import { deadLinks, linksOf, root } from './pages.js';

const PAGE = 'docs/methods.md';
const text = readFileSync(path.join(root, PAGE), 'utf8');
/** The names in the first column of the tables. */
const rows = [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name as string);

test('every name that experiments use has a row', () => {
  expect(methodNames.filter((name) => !rows.includes(name))).toEqual([]);
});

test('every file that the library exports of methods and objectives is linked', () => {
  const linked = linksOf(PAGE).map(({ file }) => path.relative(root, file));
  const files = ['methods', 'objectives'].flatMap((folder) => {
    const index = readFileSync(path.join(root, 'src/flatlora', folder, 'index.ts'), 'utf8');
    return [...index.matchAll(/from '\.\/(\w+)\.js'/g)].map(([, name]) =>
      path.join('src/flatlora', folder, `${name}.ts`),
    );
  });
  expect(files.length).toBeGreaterThan(12);
  expect(files.filter((file) => !linked.includes(file))).toEqual([]);
});

test('links lead to files, and functions are exported there', () => {
  expect(deadLinks(PAGE)).toEqual([]);
  const functions = linksOf(PAGE).filter(({ label }) => /^[a-z]\w*(\(.*\))?$/i.test(label));
  expect(functions.length).toBeGreaterThan(12);
  const missing = functions.filter(({ label, file }) => {
    const name = label.replace(/\(.*$/, '');
    const source = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return !new RegExp(`export (async )?(function|const) ${name}\\b`).test(source);
  });
  expect(missing).toEqual([]);
});
