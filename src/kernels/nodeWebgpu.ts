/**
 * WebGPU for Node. Browsers have `navigator.gpu`; in Node the optional package `webgpu` (Dawn) puts
 * one there. This is the one place that touches a global, and only when it is asked to.
 */

/** Gives Node a `navigator.gpu`; returns why that was not possible, or `undefined`. */
export async function provideNodeWebgpu(): Promise<string | undefined> {
  const scope = globalThis as { navigator?: { gpu?: unknown } };
  if (scope.navigator?.gpu !== undefined) return undefined;
  try {
    const { create, globals } = (await import('webgpu')) as {
      create: (options: readonly string[]) => unknown;
      globals: object;
    };
    Object.assign(globalThis, globals);
    Object.defineProperty(globalThis, 'navigator', {
      value: { ...scope.navigator, gpu: create([]) },
      configurable: true,
      writable: true,
    });
    return undefined;
  } catch (cause) {
    return `the optional package "webgpu" could not be loaded: ${String(cause).split('\n')[0]}`;
  }
}
