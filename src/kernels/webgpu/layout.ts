/**
 * Which buffers a run of a program uses: laid out before anything is encoded, in the order of the
 * launches. A buffer is free again after its last reader, and the GPU runs launches as if one after
 * another, so one buffer can serve many intermediates, and the memory of donated inputs what is
 * computed after their last use.
 */
import type { Var } from '../../autodiff/index.js';
import type { AnyKernel, Plan } from '../plan/plan.js';
import type { GpuArray } from './memory.js';
import type { BufferPool, PooledBuffer } from './pool.js';
import type { Step } from './program.js';
import { type ArrayLayout, arrayBytes, piecesOf } from './wgsl/bindings.js';

export interface RunLayout {
  /** By step: its buffers in order of binding. */
  readonly used: readonly (readonly PooledBuffer[])[];
  readonly outputs: readonly GpuArray[];
  /** Taken from the pool for this run. */
  readonly acquired: readonly PooledBuffer[];
  /** No longer needed once the run is submitted. */
  readonly free: readonly PooledBuffer[];
  /** Inputs (by number) whose memory serves something else now. */
  readonly consumed: ReadonlySet<number>;
  /** Most bytes in use at one time beyond the inputs. */
  readonly extraBytes: number;
}

export interface LayoutParts {
  readonly plan: Plan<AnyKernel>;
  readonly steps: readonly Step[];
  readonly pool: BufferPool;
  readonly layout: ArrayLayout;
  readonly table: GpuArray;
  readonly constants: ReadonlyMap<number, GpuArray>;
}

/** By step: the donated inputs that nothing reads after it. */
function donatedDeaths(
  { plan, steps }: LayoutParts,
  inputs: readonly GpuArray[],
  donated: readonly boolean[],
): ReadonlyMap<number, readonly number[]> {
  const lastReader = new Map<number, number>();
  steps.forEach(({ code }, i) => {
    for (const v of code.reads) lastReader.set(v.id, i);
  });
  const deaths = new Map<number, number[]>();
  plan.inputs.forEach((v, i) => {
    const last = lastReader.get(v.id);
    // One array given twice is freed once, at the end.
    const shared = inputs.filter((x) => x === inputs[i]).length > 1;
    if (!donated[i] || last === undefined || shared) return;
    deaths.set(last, [...(deaths.get(last) ?? []), i]);
  });
  return deaths;
}

/** Lays out one run. */
export function layOut(
  parts: LayoutParts,
  inputs: readonly GpuArray[],
  donated: readonly boolean[],
): RunLayout {
  const { plan, steps, pool, layout, table, constants } = parts;
  const arrays = new Map(plan.inputs.map((v, i) => [v.id, inputs[i] as GpuArray]));
  // A constant that is an output is copied to an array of the same number.
  const read = (v: Var) => constants.get(v.id) ?? (arrays.get(v.id) as GpuArray);
  const free: PooledBuffer[] = [];
  const acquired: PooledBuffer[] = [];
  const consumed = new Set<number>();
  const dying = donatedDeaths(parts, inputs, donated);
  let [bytes, most] = [0, 0];
  const take = (size: number): PooledBuffer => {
    const i = free.findLastIndex((b) => b.size >= size && b.size <= size * 1.25 + 256);
    const [known] = i < 0 ? [] : free.splice(i, 1);
    if (known !== undefined) return known;
    const fresh = pool.acquire(size);
    acquired.push(fresh);
    return fresh;
  };
  const used = steps.map(({ code, dies }, i) => {
    const filled = code.outputs.map((v) => {
      const array = piecesOf(arrayBytes(v), layout).map(take);
      arrays.set(v.id, array);
      bytes += arrayBytes(v);
      return array;
    });
    most = Math.max(most, bytes);
    const bound = [
      ...filled.flat(),
      ...code.reads.flatMap(read),
      ...(code.usesNormalTable ? table : []),
    ];
    for (const v of dies) {
      free.push(...(arrays.get(v.id) ?? []));
      bytes -= arrayBytes(v);
    }
    for (const input of dying.get(i) ?? []) {
      free.push(...(inputs[input] as GpuArray));
      bytes -= arrayBytes(plan.inputs[input] as Var);
      consumed.add(input);
    }
    return bound;
  });
  const outputs = plan.outputs.map((v) => arrays.get(v.id) ?? []);
  return { used, outputs, free, acquired, consumed, extraBytes: most };
}

/** What runs have in common that use the same buffers for the same inputs. */
export const layoutKey = (inputs: readonly GpuArray[], donated: readonly boolean[]): string =>
  inputs.map((a, i) => `${donated[i] ? '*' : ''}${a.map((b) => b.id).join('.')}`).join();
