/** Backends of one and of two threads, with and without fused multiply-add, on the same programs. */
import {
  flatData,
  type HostArray,
  simplify,
  type Traceable,
  trace,
} from '../../../../src/autodiff/index.js';
import { type Backend, wasmBackend } from '../../../../src/kernels/index.js';
import type { Kernel } from '../../../../src/kernels/plan/expression.js';
import { planTape } from '../../../../src/kernels/plan/plan.js';
import { hasRelaxedSimd } from '../../../../src/kernels/wasm/runtime/engine.js';
import { expected, requireEqual, rounded, runTape, TOLERANCE } from '../../checking.js';

/** What the backend plans with. */
export const LIMITS = { maxReads: 24, operandCost: 30 };

/** The kernels of a program. */
export const kernelsOf = (f: Traceable, inputs: readonly HostArray[]): readonly Kernel[] =>
  planTape(simplify(trace(f, ...inputs)), LIMITS).kernels;

export interface Setting {
  /**
   * Runs a program on all backends: each within the tolerance of the reference, and two threads to
   * the same bits as one. The results of one thread.
   */
  readonly check: (
    f: Traceable,
    inputs: readonly HostArray[],
    note: string,
    tolerance?: number,
  ) => Promise<readonly HostArray[]>;
  /** Whether fused multiply-add is used by default. */
  readonly relaxed: () => boolean;
}

const bitsOf = (x: HostArray): readonly number[] => {
  const data = flatData(x);
  return data instanceof Float32Array
    ? Array.from(new Uint32Array(data.buffer, data.byteOffset, data.length))
    : Array.from(data);
};

/** Opens the backends for the tests of a file. */
export function openSetting(): Setting {
  let backends: { readonly one: Backend; readonly two: Backend; readonly plain: Backend };
  beforeAll(async () => {
    backends = {
      one: await wasmBackend({ threads: 1 }),
      two: await wasmBackend({ threads: 2 }),
      plain: await wasmBackend({ threads: 1, relaxed: false }),
    };
  });
  afterAll(async () => {
    for (const backend of Object.values(backends)) await backend.dispose();
  });
  return {
    relaxed: hasRelaxedSimd,
    check: async (f, inputs, note, tolerance = TOLERANCE) => {
      const exact = inputs.map(rounded);
      const tape = simplify(trace(f, ...exact));
      const want = expected(tape, exact);
      const one = await runTape(backends.one, tape, exact);
      requireEqual(one, want, `one thread: ${note}`, tolerance);
      const two = await runTape(backends.two, tape, exact);
      const differing = one.findIndex(
        (x, i) => bitsOf(x).join() !== bitsOf(two[i] as HostArray).join(),
      );
      if (differing >= 0) throw new Error(`result ${differing} depends on the threads: ${note}`);
      requireEqual(
        await runTape(backends.plain, tape, exact),
        want,
        `without fused multiply-add: ${note}`,
        tolerance,
      );
      return one;
    },
  };
}
