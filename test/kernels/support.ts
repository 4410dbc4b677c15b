/** What the tests of backends share. */
import type { Backend } from '../../src/kernels/index.js';
import { type TestBackend, testBackends } from '../support/backends.js';

export * from './checking.js';

/** The backends that are held to the reference. */
export const kernelBackends = (): readonly TestBackend[] =>
  testBackends().filter((b) => b.name !== 'reference');

/** Declares a suite per backend; the backend is opened once for it. */
export function onEachBackend(
  declare: (backend: () => Backend, name: string) => void,
  backends: readonly TestBackend[] = kernelBackends(),
): void {
  describe.each(backends.map((b) => [b.name, b] as const))('%s', (name, { open }) => {
    let opened: Backend;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => {
      await opened.dispose();
    });
    declare(() => opened, name);
  });
}
