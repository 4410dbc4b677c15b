/**
 * Where NaN or infinity first appears in a computation: the program is run once more with a flag for
 * every array on its tape, and the first one that is not finite is named.
 */
import {
  abs,
  dropUnused,
  type Equation,
  flatten,
  type HostArray,
  input,
  linearise,
  lookUp,
  lt,
  printTape,
  reduceMax,
  replayAll,
  select,
  type Tape,
  type Traceable,
  traceAt,
  type Value,
  type Var,
} from '../autodiff/index.js';
import { type Backend, type DeviceArray, isDeviceArray } from '../kernels/index.js';
import { inlineTape } from '../kernels/inline.js';
import { NOT_FINITE_FROM } from './step.js';

/** 1 if an array has an element that is NaN or infinite, else 0. */
const flag = (x: Value): Value => reduceMax(select(lt(abs(x), NOT_FINITE_FROM), 0, 1));

/** A tape that gives, for every float variable of another tape, whether it is not finite. */
function flagTape(tape: Tape, watched: readonly Var[]): Tape {
  const inputs = tape.inputs.map(input);
  const values = replayAll(tape, inputs);
  const flags = watched.map((v) => flag(lookUp(values, v)));
  return dropUnused(linearise(inputs, flags).tape);
}

const isFloat = (v: Var): boolean => v.dtype === 'float' && v.shape.every((d) => d > 0);

/** The first bad equation: one that makes NaN or infinity of finite operands, if there is one. */
function culprit(tape: Tape, bad: ReadonlySet<number>): Equation | undefined {
  // Constants may be infinite on purpose (attention masks), and so may be what adds them.
  const makers = tape.equations.filter(
    ({ primitive, outputs }) => primitive.name !== 'constant' && outputs.some((v) => bad.has(v.id)),
  );
  return makers.find(({ inputs }) => !inputs.some((v) => bad.has(v.id))) ?? makers[0];
}

/** A program whose arguments have names, for messages: `['parameter', params]` and so on. */
export type NamedArguments = readonly (readonly [name: string, argument: unknown])[];

/**
 * Runs `f` and names the first array that is not finite: an argument's leaf by its place, or an
 * equation of the tape as text; `undefined` where everything is finite.
 *
 * @param args leaves are host or device arrays, which are neither donated nor released.
 */
export async function firstNonFinite(
  f: Traceable,
  args: NamedArguments,
  backend: Backend,
): Promise<string | undefined> {
  const leaves = args.flatMap(([name, arg]) => {
    const { leaves: own, paths } = flatten<HostArray | DeviceArray>(arg);
    return own.map((leaf, i) => ({ leaf, name: `${name} "${paths[i]}"` }));
  });
  const devices = leaves.map(({ leaf }) => (isDeviceArray(leaf) ? leaf : backend.upload(leaf)));
  try {
    const traced = traceAt(
      f,
      args.map(([, argument]) => argument),
    );
    const tape = inlineTape(traced.closure.tape);
    const watched = [...tape.inputs, ...tape.equations.flatMap((e) => e.outputs)].filter(isFloat);
    const executable = await backend.compile(flagTape(tape, watched));
    const flags = await executable.run(
      devices,
      devices.map(() => false),
    );
    const bad = new Set<number>();
    for (const [i, device] of flags.entries()) {
      const [isBad] = (await backend.download(device)).data;
      if (isBad) bad.add((watched[i] as Var).id);
      backend.release(device);
    }
    executable.dispose();
    const argument = tape.inputs.findIndex((v) => bad.has(v.id));
    if (argument >= 0) return leaves[argument]?.name;
    const found = culprit(tape, bad);
    if (found === undefined) return undefined;
    // One line per input, then one per equation.
    const at = tape.equations.indexOf(found);
    const text = printTape(tape).split('\n')[tape.inputs.length + at];
    return `equation ${at + 1} of ${tape.equations.length}, "${text}"`;
  } finally {
    devices.forEach((device, i) => {
      if (device !== leaves[i]?.leaf) backend.release(device);
    });
  }
}
