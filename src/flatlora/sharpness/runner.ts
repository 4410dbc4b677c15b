/**
 * What the sharpness tools need of a machine. They are traceable functions plus a driver that calls
 * one compiled program many times; the driver asks for these four things, which every backend has
 * (`programRunner(backend)` in `kernels` gives them), so that this folder knows no backend.
 */
import { type HostArray, treeMap } from '../../autodiff/index.js';

/** A compiled function: trees of host or device arrays in, a tree of device arrays out. */
export interface RunnableProgram {
  (...args: readonly unknown[]): Promise<unknown>;
  readonly dispose: () => Promise<void>;
}

export interface ProgramRunner {
  // biome-ignore lint/suspicious/noExplicitAny: any traceable function.
  readonly compile: (f: (...args: any[]) => unknown) => RunnableProgram;
  /** Copies a host array to the device. */
  readonly upload: (array: HostArray) => unknown;
  /** Copies a tree of device arrays to the host. */
  readonly download: (tree: unknown) => Promise<unknown>;
  /** Frees the device arrays of a tree. */
  readonly release: (tree: unknown) => void;
}

/** Runs a program and brings its results to the host. */
export async function onHost<T>(
  runner: ProgramRunner,
  program: RunnableProgram,
  ...args: readonly unknown[]
): Promise<T> {
  const results = await program(...args);
  const host = await runner.download(results);
  runner.release(results);
  return host as T;
}

/** Calls `use` with a program and frees it afterwards, whatever happens. */
export async function withProgram<T>(
  runner: ProgramRunner,
  // biome-ignore lint/suspicious/noExplicitAny: any traceable function.
  f: (...args: any[]) => unknown,
  use: (program: RunnableProgram) => Promise<T>,
): Promise<T> {
  const program = runner.compile(f);
  try {
    return await use(program);
  } finally {
    await program.dispose();
  }
}

/** Calls `use` with a tree that lies on the device, and frees it afterwards. */
export async function withUploaded<T>(
  runner: ProgramRunner,
  tree: unknown,
  use: (onDevice: unknown) => Promise<T>,
): Promise<T> {
  const onDevice: unknown = treeMap((leaf: HostArray) => runner.upload(leaf), tree);
  try {
    return await use(onDevice);
  } finally {
    runner.release(onDevice);
  }
}
