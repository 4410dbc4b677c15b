/** A backend as the four functions that drivers of repeated programs ask for. */
import type { HostArray } from '../autodiff/index.js';
import { type Backend, type DeviceArray, download, release } from './backend.js';
import { compile } from './compile.js';

/** Compile, upload, download and release of one backend (`ProgramRunner` of `flatlora`). */
export const programRunner = (backend: Backend) => ({
  compile: (f: (...args: never[]) => unknown) =>
    compile(f as (...args: unknown[]) => unknown, backend),
  upload: (array: HostArray): DeviceArray => backend.upload(array),
  download: (tree: unknown): Promise<unknown> => download(backend, tree),
  release: (tree: unknown): void => release(backend, tree),
});
