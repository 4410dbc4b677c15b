/**
 * The programs in the documentation: every block that is marked `ts` is a whole program which imports
 * the library by its package names, as a reader would.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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
