/** Running a tape: values on the reference backend and another, and the gradient against differences. */
import {
  floats,
  foldIn,
  type HostArray,
  hostNormal,
  key,
  sizeOf,
  type Tape,
} from '../../../src/autodiff/index.js';
import {
  autoBackend,
  type Backend,
  backendByName,
  referenceBackend,
} from '../../../src/kernels/index.js';

export interface RunView {
  /** Of the function, up to 12 numbers, in float64. */
  readonly reference: readonly number[];
  readonly shape: readonly number[];
  readonly backend: string;
  /** The greatest difference of the backend's result, relative to 1 or the value. */
  readonly backendError: number;
}

export interface GradientView {
  /** How many partial derivatives were compared. */
  readonly compared: number;
  readonly greatestError: number;
  /** Some of them: by the tape, by differences. */
  readonly rows: readonly {
    readonly name: string;
    readonly tape: number;
    readonly differences: number;
  }[];
}

/** Numbers for the inputs: standard normal, from a seed. */
export const drawInputs = (tape: Tape, seed: number): readonly HostArray[] =>
  tape.inputs.map((v, i) =>
    v.dtype === 'uint'
      ? key(seed + 1)
      : floats(hostNormal(foldIn(key(seed), i), sizeOf(v.shape)), [...v.shape]),
  );

async function results(
  backend: Backend,
  tape: Tape,
  inputs: readonly HostArray[],
): Promise<readonly Float64Array[]> {
  const program = await backend.compile(tape);
  const given = inputs.map(backend.upload);
  const out = await program.run(
    given,
    given.map(() => false),
  );
  const read = await Promise.all(out.map(backend.download));
  [...given, ...out].forEach(backend.release);
  program.dispose();
  return read.map((x) => Float64Array.from(x.data as unknown as ArrayLike<number>));
}

const errorOf = (a: number, b: number): number => Math.abs(a - b) / Math.max(1, Math.abs(b));

/** @param name of a backend, or `auto`. */
export async function runTape(tape: Tape, seed: number, name: string): Promise<RunView> {
  const inputs = drawInputs(tape, seed);
  const backend = name === 'auto' ? (await autoBackend()).backend : await backendByName(name);
  const [exact] = await results(referenceBackend(), tape, inputs);
  const [given] = await results(backend, tape, inputs);
  await backend.dispose();
  const values = exact as Float64Array;
  return {
    reference: [...values.slice(0, 12)],
    shape: tape.outputs[0]?.shape ?? [],
    backend: backend.name,
    backendError: values.reduce(
      (most, x, i) => Math.max(most, errorOf(given?.[i] as number, x)),
      0,
    ),
  };
}

/** Step of the central differences: the cube root of the float64's precision, nearly. */
const STEP = 1e-5;
const MOST_COMPARED = 60;

/**
 * Partial derivatives by a gradient tape against (f(x + h) − f(x − h)) / 2h, in float64.
 * @param tape of the function, to one number.
 */
export async function checkGradient(
  tape: Tape,
  gradient: Tape,
  names: readonly string[],
  seed: number,
): Promise<GradientView> {
  const reference = referenceBackend();
  const inputs = drawInputs(tape, seed).map((x) =>
    floats(Float64Array.from(x.data as unknown as ArrayLike<number>), [...x.shape]),
  );
  const byTape = await results(reference, gradient, inputs);
  const program = await reference.compile(tape);
  const valueAt = async (moved: readonly HostArray[]): Promise<number> => {
    const given = moved.map(reference.upload);
    const out = await program.run(
      given,
      given.map(() => false),
    );
    const value = (await reference.download(out[0] as never)).get();
    [...given, ...out].forEach(reference.release);
    return value;
  };
  const places = inputs.flatMap((x, i) =>
    Array.from({ length: x.size }, (_, k) => [i, k] as const),
  );
  // Where there are many, some from everywhere.
  const every = Math.max(1, Math.ceil(places.length / MOST_COMPARED));
  const rows: GradientView['rows'][number][] = [];
  for (const [i, k] of places.filter((_, n) => n % every === 0)) {
    const x = inputs[i] as HostArray;
    const at = (step: number) => {
      const data = Float64Array.from(x.data as unknown as ArrayLike<number>);
      data[k] = (data[k] as number) + step;
      return valueAt(inputs.map((given, n) => (n === i ? floats(data, [...x.shape]) : given)));
    };
    const differences = ((await at(STEP)) - (await at(-STEP))) / (2 * STEP);
    rows.push({
      name: `${names[i]}[${k}]`,
      tape: byTape[i]?.[k] as number,
      differences,
    });
  }
  program.dispose();
  return {
    compared: rows.length,
    greatestError: rows.reduce((most, r) => Math.max(most, errorOf(r.tape, r.differences)), 0),
    rows: rows.slice(0, 12),
  };
}
