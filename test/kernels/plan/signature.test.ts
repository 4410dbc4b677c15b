/** Signatures of kernels: equal where only buffers differ, different where anything else does. */
import {
  add,
  type DType,
  fusedAttention,
  type HostArray,
  matmul,
  mul,
  reduceMax,
  reduceSum,
  simplify,
  type Traceable,
  tanh,
  trace,
  type Value,
  type Var,
} from '../../../src/autodiff/index.js';
import {
  buffersOf,
  type Expression,
  type FoldKind,
  type Kernel,
  number,
} from '../../../src/kernels/plan/expression.js';
import { type FusedName, planTape } from '../../../src/kernels/plan/plan.js';
import { fixed, ofAtom, plus, times } from '../../../src/kernels/plan/position.js';
import { buffersOfKernel, kernelSignature } from '../../../src/kernels/plan/signature.js';
import { generator, uniformArray } from '../../support/draw.js';
import { loop } from './enumerate.js';

const array = (...shape: number[]): HostArray => uniformArray(generator(1), shape);
const fused: ReadonlySet<FusedName> = new Set(['attention', 'attentionBackward']);
const signatures = (f: Traceable, ...args: unknown[]): string[] =>
  planTape(simplify(trace(f, ...args)), { maxReads: 12, operandCost: 30, fused }).kernels.map(
    kernelSignature,
  );

describe('layers', () => {
  const layer = (x: Value, w: Value, b: Value) => tanh(add(matmul(x, w), b));

  test('equal ones have equal kernels', () => {
    const f = (x: Value, w: Value, b: Value, v: Value, c: Value) => layer(layer(x, w, b), v, c);
    const found = signatures(f, array(7, 5), array(5, 5), array(5), array(5, 5), array(5));
    expect(found).toHaveLength(2);
    expect(found[1]).toBe(found[0]);
  });

  test.each<[string, Traceable, number[]]>([
    ['more rows', layer as Traceable, [8, 5]],
    ['no bias', ((x: Value, w: Value) => tanh(matmul(x, w))) as Traceable, [7, 5]],
    ['another activation', ((x, w, b) => mul(2, layer(x, w, b))) as typeof layer, [7, 5]],
  ])('%s: another kernel', (_, other, shape) => {
    const [own] = signatures(layer, array(7, 5), array(5, 5), array(5));
    expect(signatures(other, array(...shape), array(5, 5), array(5))).not.toContain(own);
  });

  test('a buffer that is read twice is not two buffers', () => {
    const both = signatures((x: Value, y: Value) => matmul(x, y), array(5, 5), array(5, 5));
    expect(signatures((x: Value) => matmul(x, x), array(5, 5))).not.toEqual(both);
  });

  test('a scale and its negative zero', () => {
    const scaled = (s: number) => signatures((x: Value) => add(x, s), array(4));
    expect(scaled(0.5)).toEqual(scaled(0.5));
    expect(scaled(0.5)).not.toEqual(scaled(0.25));
  });

  test('sums and maxima', () => {
    const x = array(4, 5);
    const all = [
      signatures((v: Value) => reduceSum(v, 1), x),
      signatures((v: Value) => reduceMax(v, 1), x),
      signatures((v: Value) => reduceSum(v, 0), x),
    ];
    expect(new Set(all.flat()).size).toBe(3);
  });

  test('attention: equal for equal layers, not for another scale, mask or order', () => {
    const attend = (scale: number, causal: boolean) => (q: Value, k: Value, v: Value) =>
      fusedAttention(q, k, v, { scale, causal }).out;
    const inputs = [array(6, 4), array(6, 4), array(6, 4)];
    const [own] = signatures(attend(1, false), ...inputs);
    const twice = signatures(
      (q: Value, k: Value, v: Value) => {
        const out = attend(1, false)(q, k, v);
        return [out, attend(1, false)(out, k, v)];
      },
      ...inputs,
    );
    expect(twice).toHaveLength(2);
    expect(twice[1]).toBe(twice[0]);
    expect(signatures(attend(2, false), ...inputs)).not.toContain(own);
    expect(signatures(attend(1, true), ...inputs)).not.toContain(own);
    expect(
      signatures((q: Value, k: Value) => attend(1, false)(q, k, k), ...inputs.slice(1)),
    ).not.toContain(own);
  });
});

/** A kernel with a node of every kind, and how it may differ. */
const BASE = {
  ids: [1, 2, 3],
  shape: [60] as readonly number[],
  dtype: 'float' as DType,
  outputDtype: 'float' as DType,
  axes: [3, 4] as [number, number],
  constant: 0,
  shift: 0,
  stride: 4,
  condition: { low: 1, high: 3, step: 1 },
  fold: 'sum' as FoldKind,
  folded: 5,
  name: 'add',
  from: 'float' as DType,
  to: 'float' as DType,
  rows: 6,
  width: 2,
  purpose: 1,
  word: 0,
  counter: 0,
  drawn: 'randomWord' as 'randomWord' | 'randomNormal',
  swapped: false,
  sameBuffer: false,
};
type Parts = typeof BASE;

function kernelOf(p: Parts): Kernel {
  const [out, x, y] = p.ids.map((id, i): Var => {
    const dtype = i === 0 ? p.outputDtype : p.dtype;
    return { id, shape: p.shape, dtype };
  }) as [Var, Var, Var];
  const [i, j, k] = [loop('i', p.axes[0]), loop('j', p.axes[1]), loop('k', p.folded)] as const;
  const at = plus(plus(times(ofAtom(i), p.stride), ofAtom(j)), fixed(p.shift));
  const apply = (name: string, ...operands: Expression[]): Expression => ({
    kind: 'apply',
    name,
    operands,
    dtype: p.to,
    from: p.from,
  });
  const word: Expression = {
    kind: 'derivedWord',
    key: [number(1), number(2)],
    purpose: p.purpose,
    data: number(5),
    word: fixed(p.word),
  };
  const read: Expression = { kind: 'load', buffer: x, at };
  const gathered: Expression = {
    kind: 'gather',
    buffer: p.sameBuffer ? x : y,
    row: read,
    rows: p.rows,
    width: p.width,
    at: ofAtom(j),
  };
  const operands = p.swapped ? [gathered, read] : [read, gathered];
  const body = apply(
    p.name,
    {
      kind: 'guard',
      conditions: [{ at: ofAtom(j), ...p.condition }],
      inside: apply('mul', ...operands),
      outside: number(p.constant),
    },
    { kind: 'fold', fold: p.fold, loops: [k], body: apply('mul', read, read) },
    { kind: p.drawn, key: [word, word], at: fixed(p.counter) },
    { kind: 'position', at: plus(ofAtom(i), fixed(p.shift)) },
  );
  return { output: out, axes: [i, j], body, reads: buffersOf(body) };
}

const VARIATIONS: Readonly<Record<string, Partial<Parts>>> = {
  'shape of the buffers': { shape: [61] },
  'rank of the buffers': { shape: [6, 10] },
  'dtype read': { dtype: 'int' },
  'half precision read': { dtype: 'bfloat16' },
  'the other half precision': { dtype: 'float16' },
  'dtype written': { outputDtype: 'int' },
  'size of an axis': { axes: [4, 4] },
  'axes the other way round': { axes: [4, 3] },
  constant: { constant: 1 },
  'negative zero': { constant: -0 },
  'not a number': { constant: Number.NaN },
  infinity: { constant: Number.POSITIVE_INFINITY },
  'constant of a position': { shift: 1 },
  'coefficient of a position': { stride: 5 },
  'lower end of a guard': { condition: { low: 0, high: 3, step: 1 } },
  'upper end of a guard': { condition: { low: 1, high: 4, step: 1 } },
  'step of a guard': { condition: { low: 1, high: 3, step: 2 } },
  maximum: { fold: 'max' },
  'place of the maximum': { fold: 'argmax' },
  'size of a fold': { folded: 6 },
  primitive: { name: 'sub' },
  'dtype converted from': { from: 'int' },
  'dtype converted to': { to: 'int' },
  'rows of a look-up': { rows: 7 },
  'width of a look-up': { width: 3 },
  'purpose of a derived key': { purpose: 2 },
  'word of a derived key': { word: 1 },
  'counter of a random word': { counter: 1 },
  'random number': { drawn: 'randomNormal' },
  'order of operands': { swapped: true },
  'one buffer instead of two': { sameBuffer: true },
  'in place': { ids: [2, 2, 3] },
};

test('kernels that differ only in their buffers are equal, and their buffers correspond', () => {
  const other = kernelOf({ ...BASE, ids: [70, 5, 6] });
  expect(kernelSignature(other)).toBe(kernelSignature(kernelOf(BASE)));
  expect(buffersOfKernel(kernelOf(BASE)).map((v) => v.id)).toEqual([1, 2, 3]);
  expect(buffersOfKernel(other).map((v) => v.id)).toEqual([70, 5, 6]);
});

test.each(Object.keys(VARIATIONS))('another %s: another signature', (name) => {
  const own = kernelSignature(kernelOf({ ...BASE, ...VARIATIONS[name] }));
  const others = Object.entries({ base: {}, ...VARIATIONS }).filter(([n]) => n !== name);
  for (const [n, variation] of others) {
    const same = kernelSignature(kernelOf({ ...BASE, ...variation })) === own;
    expect([n, same]).toEqual([n, false]);
  }
});

test('a node that is shared is not two nodes, however alike the text', () => {
  const output: Var = { id: 0, shape: [3], dtype: 'float' };
  const x: Expression = { kind: 'load', buffer: { ...output, id: 1 }, at: ofAtom(loop('i', 3)) };
  const add2 = (a: Expression, b: Expression): Expression => ({
    kind: 'apply',
    name: 'add',
    operands: [a, b],
    dtype: 'float',
    from: 'float',
  });
  const of = (body: Expression): string =>
    kernelSignature({ output, axes: [loop('i', 3)], body, reads: buffersOf(body) });
  const [left, right] = [add2(add2(x, number(1)), number(2)), add2(x, add2(number(1), number(2)))];
  expect(of(left)).not.toBe(of(right));
});
