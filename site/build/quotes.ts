/** Quoting the library's source by file and name, so that a quote cannot go stale. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface Quote {
  readonly file: string;
  readonly name: string;
  readonly firstLine: number;
  readonly text: string;
}

/** How the brackets of a line change the depth; those in comments and strings do not count. */
function depthChange(line: string): number {
  if (/^\s*(\/\*\*|\*)/.test(line)) return 0;
  const bare = line
    .replace(/\/\/.*$/, '')
    .replace(/'(?:[^'\\]|\\.)*'/g, '')
    .replace(/\/(?:[^/\\\n]|\\.)+\/[a-z]*(?=[.,)])/g, '');
  let change = 0;
  for (const c of bare) {
    if ('([{'.includes(c)) change++;
    if (')]}'.includes(c)) change--;
  }
  return change;
}

/**
 * A top-level declaration with the comment before it.
 * @throws Error when the file or the name is not there: the build stops.
 */
export function quoteOf(root: string, reference: string): Quote {
  const [file = '', name = ''] = reference.split('#');
  const lines = readFileSync(path.join(root, file), 'utf8').split('\n');
  const declares = new RegExp(
    `^(export )?(abstract |async )?(function\\*?|const|let|interface|type|class) ${name}\\b`,
  );
  const start = lines.findIndex((line) => declares.test(line));
  if (name === '' || start < 0) throw new Error(`${file}: there is no ${name} to quote`);
  let first = start;
  // Overloads and what is said about them stand before the first of them.
  if (/^ *\*\/$/.test(lines[start - 1] ?? '')) {
    while (!/^\/\*\*/.test(lines[first] ?? '')) first--;
  } else if (/^\/\*\*.*\*\/$/.test(lines[start - 1] ?? '')) first--;
  let depth = 0;
  let end = start;
  for (; end < lines.length; end++) {
    const line = lines[end] as string;
    depth += depthChange(line);
    if (depth <= 0 && /[;}]$/.test(line.trimEnd())) break;
  }
  return { file, name, firstLine: first + 1, text: lines.slice(first, end + 1).join('\n') };
}

/** The quotes that a page asks for: lines of its `source` blocks. */
export const quotesIn = (markdown: string): readonly string[] =>
  [...markdown.matchAll(/^```source\n([\s\S]*?)^```/gm)].flatMap(([, body]) =>
    (body as string).split('\n').filter((line) => line !== ''),
  );
