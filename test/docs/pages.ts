/**
 * The programs and links in the documentation: every block that is marked `ts` is a whole program which imports
 * the library by its package names, as a reader would.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Snippet {
  /** The page and the number of the block in it, such as `01-lora-1`. */
  readonly name: string;
  readonly code: string;
}

/** The `ts` blocks of a page, in order. */
export const snippetsOf = (page: string): readonly Snippet[] =>
  [...readFileSync(path.join(root, page), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(
    ([, code = ''], i) => ({ name: `${path.basename(page, '.md')}-${i + 1}`, code }),
  );

/** Which source file stands for a name of the package. */
const sourceOf = (name: string): string =>
  path.join(root, 'src', name.replace(/^flatlora\/?/, ''), 'index');

/** Writes programs to a folder, with the package's names replaced by its sources; returns their files. */
export function writePrograms(folder: string, snippets: readonly Snippet[]): readonly string[] {
  mkdirSync(folder, { recursive: true });
  return snippets.map(({ name, code }) => {
    const file = path.join(folder, `${name}.ts`);
    const program = code.replace(
      /from '(flatlora(?:\/[a-z]+)*)'/g,
      (_, module: string) => `from '${path.relative(folder, sourceOf(module))}.js'`,
    );
    writeFileSync(file, `${program}\nexport {};\n`);
    return file;
  });
}

/** A link to another file of the repository. */
export interface Link {
  readonly label: string;
  /** The file that it leads to. */
  readonly file: string;
}

/** The links of a page that stay in the repository. */
export const linksOf = (page: string): readonly Link[] =>
  [
    ...readFileSync(path.join(root, page), 'utf8').matchAll(
      /\[(`[^`]+`|[^\]`]*)\]\(([^)#\s]+)(?:#[^)]*)?\)/g,
    ),
  ]
    .filter(([, , to = '']) => !to.startsWith('http'))
    .map(([, label = '', to = '']) => ({
      label: label.replace(/^`|`$/g, ''),
      file: path.join(root, path.dirname(page), to),
    }));

/** Links to files that do not exist. */
export const deadLinks = (page: string): readonly Link[] =>
  linksOf(page).filter(({ file }) => !existsSync(file));

/** Links to test files whose label is no title in that file. */
export const missingTests = (page: string): readonly Link[] =>
  linksOf(page)
    .filter(({ file }) => file.endsWith('.test.ts'))
    .filter(({ label, file }) => {
      const quoted = [`'${label}'`, `"${label}"`, `\`${label}\``];
      return !quoted.some((literal) => readFileSync(file, 'utf8').includes(literal));
    });
