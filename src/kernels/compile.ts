/**
 * From traced functions to programs on a device. A function is traced, simplified and compiled once
 * per signature of its arguments (tree, shapes, dtypes) and runs whole from then on.
 */
import {
  type Aval,
  aval,
  avalOfHost,
  FlatloraError,
  type Flattened,
  flatten,
  floats,
  type HostArray,
  input,
  isHostArray,
  type MapLeaves,
  showAval,
  showTreeShape,
  simplify,
  type Traceable,
  type TreeShape,
  traceAt,
  unflatten,
} from '../autodiff/index.js';
import {
  type Backend,
  type DeviceArray,
  download,
  type Executable,
  isDeviceArray,
  release,
} from './backend.js';
import type { KernelTime } from './profile.js';

/** What programs take as a leaf: data on the host, on the device, or a number. */
export type Argument = HostArray | DeviceArray | number;

export interface CompileOptions {
  /**
   * Numbers of the arguments that a call gives away: their device memory is reused for the results,
   * and they must not be used again. Training steps donate parameters and optimiser state.
   */
  readonly donate?: readonly number[];
}

/** A function that runs on a device. Its results stay there. */
export interface Program<Args extends readonly unknown[], Out> {
  (...args: { [K in keyof Args]: unknown }): Promise<MapLeaves<Out, DeviceArray>>;
  /** The compiled program for these arguments, as text. */
  readonly describe: (...args: { [K in keyof Args]: unknown }) => Promise<string>;
  /**
   * How long each kernel takes for these arguments, which stay the caller's: see `printProfile`.
   * @throws FlatloraError (rejection) on backends that cannot tell.
   */
  readonly profile: (...args: { [K in keyof Args]: unknown }) => Promise<readonly KernelTime[]>;
  /** Frees all compiled programs. */
  readonly dispose: () => Promise<void>;
}

interface Compiled {
  readonly executable: Executable;
  readonly outShape: TreeShape;
}

const avalOf = (leaf: Argument): Aval =>
  typeof leaf === 'number'
    ? aval([], 'float')
    : isHostArray(leaf)
      ? avalOfHost(leaf)
      : aval(leaf.shape, leaf.dtype);

/** Compiles `f` for a backend; nothing is traced before the first call. */
export function compile<Args extends readonly unknown[], Out>(
  f: (...args: Args) => Out,
  backend: Backend,
  { donate = [] }: CompileOptions = {},
): Program<Args, Out> {
  const programs = new Map<string, Promise<Compiled>>();
  // Functions inside arguments are part of the program: each gets a number when it is first seen.
  const functions = new Map<unknown, number>();
  const nameOf = (inner: unknown): string => {
    if (!functions.has(inner)) functions.set(inner, functions.size);
    return `function${functions.get(inner)}`;
  };

  const compiledFor = (args: readonly unknown[]) => {
    const trees = args.map((arg) => flatten<Argument>(arg));
    const signature = trees
      .map(
        (t) =>
          `${showTreeShape(t.shape, nameOf)} ${t.leaves.map((x) => showAval(avalOf(x))).join()}`,
      )
      .join(' | ');
    const known = programs.get(signature);
    if (known !== undefined) return { trees, compiled: known };
    const examples = trees.map((t) =>
      unflatten<unknown>(
        t.shape,
        t.leaves.map((x) => input(avalOf(x))),
      ),
    );
    const { closure, outShape } = traceAt(f as Traceable, examples);
    if (closure.captured.length > 0) {
      throw new FlatloraError(
        'argument',
        'compile: the function uses a value of another traced function; pass it as an argument',
      );
    }
    const compiled = backend
      .compile(simplify(closure.tape))
      .then((executable) => ({ executable, outShape }));
    programs.set(signature, compiled);
    return { trees, compiled };
  };

  /** The arguments on the device. Host leaves are uploaded, and are `ours` to give away. */
  const placed = (trees: readonly Flattened<Argument>[]) => {
    const ours: boolean[] = [];
    const inputs = trees.flatMap((t) =>
      t.leaves.map((leaf) => {
        ours.push(!isDeviceArray(leaf));
        if (isDeviceArray(leaf)) return leaf;
        return backend.upload(typeof leaf === 'number' ? floats([leaf], []) : leaf);
      }),
    );
    return { inputs, ours };
  };

  const program = async (...args: readonly unknown[]) => {
    const { trees, compiled } = compiledFor(args);
    const { executable, outShape } = await compiled;
    const { inputs, ours } = placed(trees);
    const given = trees.flatMap((t, i) => t.leaves.map(() => donate.includes(i)));
    const donated = given.map((isGiven, i) => isGiven || ours[i] === true);
    return unflatten(outShape, await executable.run(inputs, donated));
  };
  const profile = async (...args: readonly unknown[]) => {
    const { trees, compiled } = compiledFor(args);
    const { executable } = await compiled;
    if (executable.profile === undefined) {
      throw new FlatloraError('backend', `profile: ${backend.name} cannot time single kernels`);
    }
    const { inputs, ours } = placed(trees);
    try {
      return await executable.profile(inputs);
    } finally {
      release(
        backend,
        inputs.filter((_, i) => ours[i]),
      );
    }
  };
  return Object.assign(program, {
    profile,
    describe: async (...args: readonly unknown[]) =>
      (await compiledFor(args).compiled).executable.describe(),
    dispose: async () => {
      for (const compiled of programs.values()) (await compiled).executable.dispose();
      programs.clear();
    },
  }) as Program<Args, Out>;
}

/** Compiles and runs `f` once, and brings its results to the host. */
export async function evaluate<Args extends readonly unknown[], Out>(
  f: (...args: Args) => Out,
  backend: Backend,
  ...args: { [K in keyof Args]: unknown }
): Promise<MapLeaves<Out, HostArray>> {
  const program = compile(f, backend);
  const results = await program(...args);
  const onHost = await download(backend, results);
  release(backend, results);
  await program.dispose();
  return onHost as MapLeaves<Out, HostArray>;
}
