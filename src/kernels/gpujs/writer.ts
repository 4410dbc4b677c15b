/** The text of a gpu.js kernel while it is written. */
import { createTextWriter, type TextWriter } from '../textWriter.js';
import { type GpuJsMode, isShader, type Scope } from './math.js';

export { indent } from '../textWriter.js';

export interface Writer extends Scope, Omit<TextWriter, 'named'> {
  /** A number that may be an integer, as a local, which is a float. */
  readonly asFloat: (text: string) => string;
}

export function createWriter(mode: GpuJsMode): Writer {
  const { named, ...writer } = createTextWriter('const');
  // Shading languages fold constants and have no ∞, so it is made while the kernel runs.
  const specials = new Map<string, string>();
  const special = (name: string, inShaders: string, elsewhere: string): string => {
    if (!isShader(mode)) return elsewhere;
    specials.set(name, inShaders);
    return name;
  };
  return {
    ...writer,
    mode,
    asFloat: named,
    infinity: () => special('infinity', 'Math.sqrt(this.thread.x + 4.0) * 3.0e38', 'Infinity'),
    nan: () => special('nan', 'Math.sqrt(-1.0 - this.thread.x)', '(Infinity - Infinity)'),
    // With the definitions that go before the lines.
    text: () => [
      ...[...specials].map(([name, text]) => `const ${name} = ${text};`),
      ...writer.text(),
    ],
  };
}
