/** The text of a WGSL function while it is written: lines, blocks, and names of what is known. */
import { WGSL_FUNCTIONS, type WgslFunction } from './functions.js';

/** Names of values that have been computed; inner blocks see outer ones. */
interface Block {
  readonly lines: string[];
  readonly names: Map<unknown, string>;
  readonly outer: Block | undefined;
}

export type { WgslFunction } from './functions.js';

export interface Writer {
  /** Adds lines to the block at hand. */
  readonly line: (...lines: readonly string[]) => void;
  /** A name that was not used before. */
  readonly fresh: (prefix: string) => string;
  /** The name under which something is known here. */
  readonly lookUp: (key: unknown) => string | undefined;
  readonly learn: (key: unknown, name: string) => void;
  /** `let name = expression;`, and the name. */
  readonly local: (expression: string) => string;
  /** The name of something, computed now if it is not known yet. */
  readonly remember: (key: unknown, make: () => string) => string;
  /** Writes a block of its own and gives its lines. */
  readonly within: (write: () => void) => readonly string[];
  /** Notes that a function of `functions.ts` is called, and gives its name. */
  readonly call: (name: WgslFunction) => WgslFunction;
  /** All lines so far. */
  readonly text: () => readonly string[];
}

export const indent = (lines: readonly string[]): readonly string[] =>
  lines.map((line) => `  ${line}`);

/** @param called collects the functions of `functions.ts` that the text calls. */
export function createWriter(called: Set<WgslFunction>): Writer {
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
  const local = (expression: string): string => {
    if (/^[a-z]\w*$/.test(expression)) return expression;
    const name = fresh('v');
    line(`let ${name} = ${expression};`);
    return name;
  };
  return {
    line,
    fresh,
    lookUp,
    learn,
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
    call: (name) => {
      for (const needed of WGSL_FUNCTIONS[name].needs) called.add(needed);
      called.add(name);
      return name;
    },
    text: () => block.lines,
  };
}

/** A function with a writer of its own. */
export function writeFunction(
  head: string,
  called: Set<WgslFunction>,
  write: (writer: Writer) => void,
): string {
  const writer = createWriter(called);
  write(writer);
  return [`fn ${head} {`, ...indent(writer.text()), '}'].join('\n');
}
