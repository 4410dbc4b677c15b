/** The pages on theory: their programs run and are typed, their links lead somewhere, tests exist. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root, snippetsOf, writePrograms } from './snippets.js';

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
  const text = readFileSync(path.join(root, page), 'utf8');
  const links = [...text.matchAll(/\[(`[^`]+`|[^\]`]*)\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map(([, label = '', to = '']) => ({ label, to }))
    .filter(({ to }) => !to.startsWith('http'));
  const target = (to: string) => path.join(root, path.dirname(page), to);

  test('links lead to files', () => {
    expect(links.filter(({ to }) => !existsSync(target(to)))).toEqual([]);
  });

  test('tests that guard claims exist under that title', () => {
    const named = links.filter(({ to }) => to.endsWith('.test.ts'));
    const missing = named.filter(({ label, to }) => {
      const title = label.replace(/^`|`$/g, '');
      const quoted = [`'${title}'`, `"${title}"`, `\`${title}\``];
      return !quoted.some((literal) => readFileSync(target(to), 'utf8').includes(literal));
    });
    expect(missing).toEqual([]);
  });
});
