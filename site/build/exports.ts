/** What the library's rooms give out, read from the source: name, kind, signature, first sentence of its comment. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Export {
  readonly name: string;
  readonly kind: 'function' | 'value' | 'type';
  readonly signature: string;
  /** The first sentence of its comment; empty where there is none. */
  readonly summary: string;
  readonly file: string;
  readonly line: number;
}

const DECLARES =
  /^export (?:declare )?(?:abstract )?(?:async )?(function\*?|const|interface|type|class) (\w+)/;

/** The comment that ends at a line, without its stars. */
function commentBefore(lines: readonly string[], at: number): string {
  let first = at - 1;
  if (!/\*\/\s*$/.test(lines[first] ?? '')) return '';
  while (first > 0 && !/^\s*\/\*\*/.test(lines[first] ?? '')) first--;
  return lines
    .slice(first, at)
    .map((line) => line.replace(/^\s*(\/\*\*|\*\/|\*)\s?/, '').replace(/\s*\*\/\s*$/, ''))
    .join(' ')
    .trim();
}

const firstSentence = (comment: string): string =>
  (/^(.*?[.:!?])(?= [A-Z@`–-]| {2}|$)/.exec(comment)?.[1] ?? comment).slice(0, 300);

/** A declaration up to where its body or its value begins. */
function signatureOf(lines: readonly string[], at: number): string {
  const head = lines
    .slice(at, at + 14)
    .join('\n')
    .replace(/^export /, '');
  const ends: Readonly<Record<string, RegExp>> = {
    interface: /\s*\{/,
    class: /\s*\{/,
    type: /\s*=/,
    // The brace of the body stands at the end of a line; those of types do not.
    function: /\s*\{\n|;\n/,
    async: /\s*\{\n|;\n/,
    const: / =>|;\n| = (?![(<]|async)/,
  };
  const [keyword = ''] = head.split(/[ *]/);
  const end = ends[keyword]?.exec(head);
  return head.slice(0, end?.index).replace(/\s+/g, ' ').trim();
}

/** What a file declares itself. */
function declaredIn(file: string, root: string): readonly Export[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  const found = new Map<string, Export>();
  lines.forEach((line, i) => {
    const [, keyword, name] = DECLARES.exec(line) ?? [];
    if (name === undefined || keyword === undefined || found.has(name)) return;
    const isFunction =
      keyword.startsWith('function') || /^export const \w+ = (<|async |\()/.test(line);
    found.set(name, {
      name,
      kind: isFunction ? 'function' : keyword === 'const' || keyword === 'class' ? 'value' : 'type',
      signature: signatureOf(lines, i),
      summary: firstSentence(commentBefore(lines, i)),
      file: path.relative(root, file),
      line: i + 1,
    });
  });
  return [...found.values()];
}

const sourceOf = (from: string, specifier: string): string =>
  path.resolve(path.dirname(from), specifier.replace(/\.js$/, '.ts'));

/** Everything that an index file gives out, through its re-exports. */
export function exportsOf(index: string, root: string): readonly Export[] {
  const text = readFileSync(index, 'utf8');
  const own = declaredIn(index, root);
  const all = [...text.matchAll(/export \* from '(\.[^']+)'/g)].flatMap(([, specifier]) =>
    exportsOf(sourceOf(index, specifier as string), root),
  );
  const named = [...text.matchAll(/export (?:type )?\{([^}]*)\} from '(\.[^']+)'/g)].flatMap(
    ([, names, specifier]) => {
      const file = sourceOf(index, specifier as string);
      if (!existsSync(file)) throw new Error(`${index}: ${specifier} is not there`);
      const wanted = (names as string).split(',').map((n) =>
        n
          .trim()
          .replace(/^type /, '')
          .replace(/ as \w+$/, ''),
      );
      return exportsOf(file, root).filter(({ name }) => wanted.includes(name));
    },
  );
  return [...new Map([...own, ...all, ...named].map((e) => [e.name, e])).values()].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
}
