/** The pages on theory: their programs run and are typed, their links lead somewhere, tests exist. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { deadLinks, linksOf, missingTests, root, snippetsOf, writePrograms } from './pages.js';

const FOLDER = 'docs/theory';
const pages = readdirSync(path.join(root, FOLDER))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `${FOLDER}/${name}`);
const snippets = pages.flatMap(snippetsOf);

let folder: string;
let files: readonly string[];
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'snippets-'));
  files = writePrograms(folder, snippets);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('there are programs', () => {
  expect(pages.length).toBeGreaterThanOrEqual(8);
  expect(snippets.length).toBeGreaterThanOrEqual(8);
});

test.each(snippets.map(({ name }, i) => [name, i] as const))('%s runs', async (_, i) => {
  await import(files[i] as string);
});

test('the programs are typed', () => {
  const config = {
    extends: path.join(root, 'tsconfig.json'),
    compilerOptions: {
      typeRoots: [path.join(root, 'node_modules/@types')],
      rootDir: path.parse(root).root,
    },
    include: [`${folder}/*.ts`],
  };
  // A planted mistake shows that the compiler looks.
  writeFileSync(path.join(folder, 'mistake.ts'), 'export const x: number = "no number";\n');
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
  const project = path.join(folder, 'tsconfig.json');
  writeFileSync(project, JSON.stringify(config));
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [compiler, '-p', project], { encoding: 'utf8' });
  const problems = stdout.split('\n').filter((line) => line.includes(path.basename(folder)));
  expect(problems.filter((line) => !line.includes('mistake.ts'))).toEqual([]);
  expect(problems).toHaveLength(1);
});

describe.each(pages)('%s', (page) => {
  test('links lead to files', () => {
    expect(deadLinks(page)).toEqual([]);
  });

  test('tests that guard claims exist under that title', () => {
    expect(missingTests(page)).toEqual([]);
  });
});

test('every page but the contents names tests', () => {
  const without = pages.filter(
    (page) => !linksOf(page).some(({ file }) => file.endsWith('.test.ts')),
  );
  expect(without).toEqual([`${FOLDER}/README.md`]);
});
