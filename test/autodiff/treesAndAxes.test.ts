/** vmap's axes, and trees of arguments through all transforms. */
import {
  add,
  flatten,
  floats,
  grad,
  type HostArray,
  hostArray,
  key,
  lift,
  mul,
  normal,
  reduceSum,
  sin,
  square,
  sub,
  treeLeaves,
  treeMap,
  treeMap2,
  type Value,
  valueAndGrad,
  valueAndGradWithAux,
  vmap,
} from '../../src/autodiff/index.js';
import { numbers, run, toNumbers } from '../support/numeric.js';

const x3 = floats([0.5, -1, 2]);

describe('vmap', () => {
  const m = floats([1, 2, 3, 4, 5, 6], [2, 3]);
  test('axes: any of the operand, negative ones, shared operands, trees', () => {
    const sum = (r: Value) => reduceSum(r);
    expect(numbers(vmap(sum), m)).toEqual([6, 15]);
    expect(numbers(vmap(sum, 1), m)).toEqual([5, 7, 9]);
    expect(numbers(vmap(sum, -1), m)).toEqual([5, 7, 9]);
    expect(numbers(vmap(sub, [1, null]), m, floats([1, 2]))).toEqual([0, 2, 1, 3, 2, 4]);
    const tree = { a: m, b: [floats([10, 20])] };
    const f = (t: { a: Value; b: readonly [Value] }) => ({ s: add(reduceSum(t.a), t.b[0]) });
    expect(numbers((t: never) => vmap(f)(t).s, tree)).toEqual([16, 35]);
  });

  test('results that do not depend on the mapped operand are repeated', () => {
    expect(
      numbers(
        vmap((_: Value) => lift(floats([1, 2]))),
        floats([0, 0, 0]),
      ),
    ).toEqual([1, 2, 1, 2, 1, 2]);
  });

  test('an empty batch', () => {
    expect(run(vmap(sin), floats([], [0, 2]))[0]?.shape).toEqual([0, 2]);
  });

  test('keys: each example draws its own stream', () => {
    const keys = [1, 2].map((s) => key(s));
    const stacked = hostArray(Uint32Array.from(keys.flatMap((k) => [...k.data])), [2, 2]);
    const each = numbers(
      vmap((k: Value) => normal(k, [3])),
      stacked,
    );
    expect(each).toEqual(keys.flatMap((k) => numbers((one: Value) => normal(one, [3]), k)));
  });
});

describe('trees', () => {
  interface Params {
    readonly w: readonly [Value, { readonly deep: Value }];
    readonly b: Value;
    readonly name: string;
  }
  const params = { w: [x3, { deep: floats([2], []) }], b: floats([1, 1, 1]), name: 'layer' };
  const loss = (p: Params, extra: number) => {
    expect(p.name).toBe('layer');
    const y = add(mul(p.w[0], p.w[1].deep), p.b);
    return mul(extra, reduceSum(square(y)));
  };

  test('gradients have the tree of the parameters, static parts included', () => {
    const shapes = treeMap((leaf: HostArray) => leaf.shape, params as never);
    let gradientTree: unknown;
    run((p: Params) => {
      const { value, gradient } = valueAndGrad(loss)(p, 2);
      gradientTree = treeMap((leaf: Value) => leaf.shape, gradient as never);
      return [value, gradient];
    }, params);
    expect(gradientTree).toEqual(shapes);
    expect((gradientTree as { name: string }).name).toBe('layer');
  });

  test('the order of keys does not matter', () => {
    const other = { name: 'layer', b: params.b, w: params.w };
    const leaves = (p: unknown) => run((q: Params) => grad(loss)(q, 1), p).map(toNumbers);
    expect(leaves(other)).toEqual(leaves(params));
    expect(flatten(other).paths).toEqual(['b', 'w.0', 'w.1.deep']);
    expect(treeLeaves({ z: 1, a: 2 })).toEqual([2, 1]);
  });

  test('what a loss gives beside its value', () => {
    const [value, gradient, aux] = run((x: Value) => {
      const r = valueAndGradWithAux((p: Value) => ({
        loss: reduceSum(square(p)),
        aux: { double: mul(2, p), count: lift(floats([3], [])) },
      }))(x);
      return [r.value, r.gradient, r.aux.double, r.aux.count];
    }, x3).map(toNumbers);
    expect([value, gradient, aux]).toEqual([[5.25], [1, -2, 4], [1, -2, 4]]);
  });

  test('treeMap2 refuses trees that differ', () => {
    expect(treeMap2((a: number, b: number) => a + b, { a: 1, b: [2] }, { b: [3], a: 4 })).toEqual({
      a: 5,
      b: [5],
    });
    expect(() => treeMap2((a: number) => a, { a: 1 }, { b: 1 })).toThrow(
      'treeMap2: trees differ: {a:*} and {b:*}',
    );
  });
});
