/**
 * The text of a kernel while it is written: lines, nested blocks, and names of what has been computed.
 * Backends that print source code share it; each brings its own way of defining a name.
 */

/** Names of values that have been computed; inner blocks see outer ones. */
interface Block {
  readonly lines: string[];
  readonly names: Map<unknown, string>;
  readonly outer: Block | undefined;
}

export interface TextWriter {
  /** Adds lines to the block at hand. */
  readonly line: (...lines: readonly string[]) => void;
  /** A name that was not used before. */
  readonly fresh: (prefix: string) => string;
  /** The name under which something is known here. */
  readonly lookUp: (key: unknown) => string | undefined;
  readonly learn: (key: unknown, name: string) => void;
  /** A new name for the value of an expression. */
  readonly named: (expression: string) => string;
  /** The same; an expression that is a name already keeps it. */
  readonly local: (expression: string) => string;
  /** The name of something, computed now if it is not known yet. */
  readonly remember: (key: unknown, make: () => string) => string;
  /** Writes a block of its own and gives its lines. */
  readonly within: (write: () => void) => readonly string[];
  /** All lines so far. */
  readonly text: () => readonly string[];
}

export const indent = (lines: readonly string[]): readonly string[] =>
  lines.map((line) => `  ${line}`);

/** @param keyword what defines a name in the language: `const` or `let`. */
export function createTextWriter(keyword: 'const' | 'let'): TextWriter {
  let block: Block = { lines: [], names: new Map(), outer: undefined };
  let count = 0;
  const fresh = (prefix: string) => `${prefix}${count++}`;
  const line = (...lines: readonly string[]) => {
    block.lines.push(...lines);
  };
  const lookUp = (key: unknown): string | undefined => {
    for (let b: Block | undefined = block; b !== undefined; b = b.outer) {
      const name = b.names.get(key);
      if (name !== undefined) return name;
    }
    return undefined;
  };
  const learn = (key: unknown, name: string) => {
    block.names.set(key, name);
  };
  const named = (expression: string): string => {
    const name = fresh('v');
    line(`${keyword} ${name} = ${expression};`);
    return name;
  };
  const local = (expression: string): string =>
    /^[a-z]\w*$/.test(expression) ? expression : named(expression);
  return {
    line,
    fresh,
    lookUp,
    learn,
    named,
    local,
    remember: (key, make) => {
      const known = lookUp(key);
      if (known !== undefined) return known;
      const name = local(make());
      learn(key, name);
      return name;
    },
    within: (write) => {
      const outer = block;
      block = { lines: [], names: new Map(), outer };
      write();
      const { lines } = block;
      block = outer;
      return lines;
    },
    text: () => block.lines,
  };
}
