/** The text of a kernel while it is written: lines, blocks, and names of what has been computed. */
import { type GpuJsMode, isShader, type Scope } from './math.js';

/** Names of values that have been computed; inner blocks see outer ones. */
interface Block {
  readonly lines: string[];
  readonly names: Map<unknown, string>;
  readonly outer: Block | undefined;
}

export interface Writer extends Scope {
  /** Adds lines to the block at hand. */
  readonly line: (...lines: readonly string[]) => void;
  /** A name that was not used before. */
  readonly fresh: (prefix: string) => string;
  /** The name under which something is known here. */
  readonly lookUp: (key: unknown) => string | undefined;
  readonly learn: (key: unknown, name: string) => void;
  /** The name of something, computed now if it is not known yet. */
  readonly remember: (key: unknown, make: () => string) => string;
  /** A number that may be an integer, as a local, which is a float. */
  readonly asFloat: (text: string) => string;
  /** Writes a block of its own and gives its lines. */
  readonly within: (write: () => void) => readonly string[];
  /** All lines so far, with the definitions that go before them. */
  readonly text: () => readonly string[];
}

export const indent = (lines: readonly string[]): readonly string[] =>
  lines.map((line) => `  ${line}`);

export function createWriter(mode: GpuJsMode): Writer {
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
  const asFloat = (text: string): string => {
    const name = fresh('v');
    line(`const ${name} = ${text};`);
    return name;
  };
  const local = (expression: string): string =>
    /^[a-z]\w*$/.test(expression) ? expression : asFloat(expression);
  // Shading languages fold constants and have no ∞, so it is made while the kernel runs.
  const specials = new Map<string, string>();
  const special = (name: string, inShaders: string, elsewhere: string): string => {
    if (!isShader(mode)) return elsewhere;
    specials.set(name, inShaders);
    return name;
  };
  return {
    mode,
    line,
    fresh,
    lookUp,
    learn,
    asFloat,
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
    infinity: () => special('infinity', 'Math.sqrt(this.thread.x + 4.0) * 3.0e38', 'Infinity'),
    nan: () => special('nan', 'Math.sqrt(-1.0 - this.thread.x)', '(Infinity - Infinity)'),
    text: () => [
      ...[...specials].map(([name, text]) => `const ${name} = ${text};`),
      ...block.lines,
    ],
  };
}
