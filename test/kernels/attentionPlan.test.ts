/** Plans with attention as one kernel: what is in memory, what is read where, and when it dies. */
import {
  add,
  fusedAttention,
  grad,
  type HostArray,
  hostArray,
  key,
  mul,
  reduceSum,
  reshape,
  simplify,
  sliceAxis,
  square,
  type Traceable,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import type { AttentionKernel } from '../../src/kernels/plan/attention.js';
import {
  type AnyKernel,
  type FusedName,
  outputsOf,
  planTape,
  printPlan,
} from '../../src/kernels/plan/plan.js';
import { positionKey } from '../../src/kernels/plan/position.js';
import { attention, dotProductAttention, initAttention } from '../../src/models/index.js';
import { generator, uniformArray } from '../support/draw.js';

const array = (...shape: number[]): HostArray => uniformArray(generator(1), shape);
const both: ReadonlySet<FusedName> = new Set(['attention', 'attentionBackward']);
const planOf = (f: Traceable, ...args: unknown[]) =>
  planTape(simplify(trace(f, ...args)), { maxReads: 6, fused: both });
const attentionOf = (kernels: readonly AnyKernel[]): AttentionKernel[] =>
  kernels.filter((k): k is AttentionKernel => 'kind' in k);

const [T, S, d] = [11, 13, 5];
const config = {
  width: 12,
  heads: 4,
  keyValueHeads: 2,
  headWidth: 3,
  biases: true,
  attentionDropout: 0,
};

describe('a whole attention layer', () => {
  const weights = initAttention(config, key(1));
  const loss = (w: typeof weights, x: Value, context: Value, mask: Value) =>
    reduceSum(square(attention(config, w as never, x, { context, mask, causal: true })));
  const mask = hostArray(new Uint8Array(2 * S).fill(1), [2, S]);
  const args = [weights, array(2, T, 12), array(2, S, 12), mask] as const;
  const forward = planOf(loss as Traceable, ...args);
  const backward = planOf(grad(loss as never) as Traceable, ...args);

  test('no buffer holds scores, in the forward or the backward pass', () => {
    for (const plan of [forward, backward]) {
      const text = printPlan(plan);
      expect(text).not.toMatch(new RegExp(`\\b${T},${S}\\b|\\b${S},${T}\\b`));
    }
    const composed = printPlan(
      planTape(simplify(trace(grad(loss as never) as Traceable, ...args)), { maxReads: 6 }),
    );
    expect(composed).toContain(`${T},${S}]`);
  });

  test('two kernels do it all, and are printed', () => {
    expect(attentionOf(forward.kernels).map((k) => k.kind)).toEqual(['attention']);
    expect(attentionOf(backward.kernels).map((k) => k.kind)).toEqual([
      'attention',
      'attentionBackward',
    ]);
    expect(printPlan(backward)).toMatch(
      /b\d+: float\[2,2,2,11,3\], b\d+: float\[2,2,2,11\] <- attention b\d+ b\d+ b\d+ b\d+\n/,
    );
  });

  test('operands are read where they are: heads beside each other, key heads shared', () => {
    const [kernel] = attentionOf(forward.kernels) as [AttentionKernel];
    const { q, k, mask: seen } = kernel.operands;
    expect(q.buffer.shape).toEqual([2, T, 12]);
    expect(k.buffer.shape).toEqual([2, S, 6]);
    const names = (at: typeof q.at) => positionKey(at);
    expect(names(q.at)).toBe(`0+1*depth+12*row+${12 * T}*batch0+3*batch2+6*batch1`);
    expect(names(k.at)).toBe(`0+1*depth+3*batch1+6*column+${6 * S}*batch0`);
    expect(seen && names(seen.at)).toBe(`0+1*column+${S}*batch0`);
  });

  test('every buffer is written before it is read and dies once, after its last reader', () => {
    for (const { kernels, dies, inputs, outputs, constants } of [forward, backward]) {
      const there = new Set([...inputs, ...constants.map((c) => c.variable)].map((v) => v.id));
      const written = kernels.flatMap((k, i) => {
        for (const v of k.reads) expect(there.has(v.id)).toBe(true);
        for (const v of outputsOf(k)) there.add(v.id);
        for (const v of dies[i] ?? []) expect(there.delete(v.id)).toBe(true);
        return outputsOf(k);
      });
      const left = written.filter((v) => there.has(v.id));
      expect(left.map((v) => v.id).sort()).toEqual(outputs.map((v) => v.id).sort());
    }
  });
});

test('what is computed is stored before attention reads it, and moved where it lies', () => {
  const f = (q: Value, k: Value) =>
    dotProductAttention(add(mul(q, 2), 1), mul(k, k), mul(k, 3), { scale: 1 });
  const { kernels, outputs } = planOf(f, array(2, T, 2, d), array(2, S, 2, d));
  expect(kernels).toHaveLength(5);
  const [kernel] = attentionOf(kernels) as [AttentionKernel];
  expect(kernel.reads.map((v) => v.shape)).toEqual([
    [2, T, 2, d],
    [2, S, 2, d],
    [2, S, 2, d],
  ]);
  expect(outputs).toHaveLength(1);
});

test('a position that needs a division is stored in another order first', () => {
  // Ten rows of the first 3 of 5 elements, read as six rows of 5.
  const f = (x: Value, k: Value) =>
    fusedAttention(reshape(sliceAxis(x, 1, 0, 3), [6, 5]), k, k, { scale: 1, causal: false }).out;
  const { kernels } = planOf(f, array(10, 5), array(S, 5));
  const [kernel] = attentionOf(kernels) as [AttentionKernel];
  expect(kernel.operands.q.buffer.shape).toEqual([6, 5]);
  expect(kernels).toHaveLength(2);
});
