/** The text of a WGSL function while it is written. */
import { createTextWriter, indent, type TextWriter } from '../../textWriter.js';
import { WGSL_FUNCTIONS, type WgslFunction } from './functions.js';

export { indent } from '../../textWriter.js';
export type { WgslFunction } from './functions.js';

export interface Writer extends TextWriter {
  /** Notes that a function of `functions.ts` is called, and gives its name. */
  readonly call: (name: WgslFunction) => WgslFunction;
}

/** @param called collects the functions of `functions.ts` that the text calls. */
export const createWriter = (called: Set<WgslFunction>): Writer => ({
  ...createTextWriter('let'),
  call: (name) => {
    for (const needed of WGSL_FUNCTIONS[name].needs) called.add(needed);
    called.add(name);
    return name;
  },
});

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
