/** Kernels recognised as products of matrices: what varies along what, and what is no product. */
import {
  add,
  argmax,
  broadcastTo,
  convert,
  type DotParams,
  dot,
  gelu,
  type HostArray,
  matmul,
  mul,
  reduceMax,
  reduceSum,
  reshape,
  simplify,
  type Traceable,
  trace,
  transpose,
  type Value,
} from '../../../src/autodiff/index.js';
import { type Kernel, nodesOf } from '../../../src/kernels/plan/expression.js';
import { planTape } from '../../../src/kernels/plan/plan.js';
import type { LoopVariable } from '../../../src/kernels/plan/position.js';
import { loopsOf, type ProductKernel, productKernelOf } from '../../../src/kernels/plan/product.js';
import { generator, uniformArray } from '../../support/draw.js';

const array = (...shape: number[]): HostArray => uniformArray(generator(1), shape);
const planOf = (f: Traceable, args: readonly unknown[], operandCost?: number) =>
  planTape(simplify(trace(f, ...args)), {
    maxReads: 12,
    ...(operandCost !== undefined && { operandCost }),
  }).kernels;
const lastOf = (f: Traceable, args: readonly unknown[], operandCost?: number) =>
  planOf(f, args, operandCost).at(-1) as Kernel;

const sizes = (loops: readonly LoopVariable[]): number[] => loops.map((v) => v.size);
const names = (loops: readonly LoopVariable[]): string[] => loops.map((v) => v.name);

/** What every product must fulfil; backends rely on it. */
function requireValid(kernel: Kernel, found: ProductKernel | undefined): ProductKernel {
  if (found === undefined) throw new Error('no product was found');
  const { batch, rows, columns, products } = found;
  const wide = kernel.axes.filter((v) => v.size > 1);
  expect(names([...batch, ...rows, ...columns]).sort()).toEqual(names(wide).sort());
  const nodes = new Set(nodesOf(kernel.body));
  for (const { fold, contracted, lhs, rhs } of products) {
    expect(nodes.has(fold)).toBe(true);
    expect(contracted).toBe(fold.loops);
    const [left, right] = [loopsOf(lhs), loopsOf(rhs)];
    for (const v of columns) expect(left.has(v.name)).toBe(false);
    for (const v of rows) expect(right.has(v.name)).toBe(false);
    for (const v of rows) expect(left.has(v.name)).toBe(true);
    for (const v of columns) expect(right.has(v.name)).toBe(true);
  }
  return found;
}

const none: DotParams['batch'] = [[], []];
const LAYOUTS: readonly (readonly [string, number[], number[], DotParams])[] = [
  ['rows · columns', [20, 30], [30, 40], { contract: [[1], [0]], batch: none }],
  ['rows · rows', [20, 30], [40, 30], { contract: [[1], [1]], batch: none }],
  ['columns · columns', [30, 20], [30, 40], { contract: [[0], [0]], batch: none }],
  ['columns · rows', [30, 20], [40, 30], { contract: [[0], [1]], batch: none }],
];

test.each(LAYOUTS)('%s', (_, left, right, params) => {
  const f = (x: Value, y: Value) => dot(x, y, params);
  const kernel = lastOf(f, [array(...left), array(...right)], 30);
  const found = requireValid(kernel, productKernelOf(kernel));
  expect([found.batch, found.rows, found.columns].map(sizes)).toEqual([[], [20], [40]]);
  expect(found.products.map((p) => sizes(p.contracted))).toEqual([[30]]);
});

test.each<[string, number[], number[], DotParams, number[][]]>([
  [
    'a batch in front',
    [3, 20, 9],
    [3, 9, 40],
    { contract: [[2], [1]], batch: [[0], [0]] },
    [[3], [20], [40], [9]],
  ],
  [
    'a batch inside',
    [20, 3, 9],
    [40, 3, 9],
    { contract: [[2], [2]], batch: [[1], [1]] },
    [[3], [20], [40], [9]],
  ],
  [
    'two of batch, of rows and of contracted',
    [2, 4, 5, 6, 3, 7],
    [7, 2, 8, 3, 4],
    {
      contract: [
        [4, 5],
        [3, 0],
      ],
      batch: [
        [0, 1],
        [1, 4],
      ],
    },
    [[2, 4], [5, 6], [8], [3, 7]],
  ],
  [
    'a sum of one term',
    [20, 1],
    [1, 40],
    { contract: [[1], [0]], batch: none },
    [[], [20], [40], []],
  ],
])('%s', (_, left, right, params, wanted) => {
  const kernel = lastOf(
    (x: Value, y: Value) => dot(x, y, params),
    [array(...left), array(...right)],
  );
  const found = requireValid(kernel, productKernelOf(kernel));
  const { batch, rows, columns, products } = found;
  expect([batch, rows, columns, products[0]?.contracted ?? []].map(sizes)).toEqual(wanted);
});

test('prologues and epilogues belong to the kernel', () => {
  const f = (x: Value, w: Value, b: Value) =>
    gelu(add(matmul(mul(x, 0.5), convert(convert(w, 'bfloat16'), 'float')), b));
  const kernel = planOf(f, [array(9, 20), array(20, 30), array(30)], 30)
    .map((k) => [k, productKernelOf(k)] as const)
    .find(([, p]) => p !== undefined) as [Kernel, ProductKernel];
  const { products } = requireValid(...kernel);
  expect(products[0]?.lhs).toMatchObject({ kind: 'apply', name: 'mul' });
  expect(products[0]?.rhs).toMatchObject({ kind: 'apply', name: 'convert' });
  expect(kernel[0].body).not.toBe(products[0]?.fold);
});

describe('several products in one kernel', () => {
  const inputs = [array(20, 30), array(30, 40), array(20, 6), array(6, 40)];

  test('lie alike', () => {
    const f = (x: Value, w: Value, a: Value, b: Value) => add(matmul(x, w), matmul(a, b));
    const kernels = planOf(f, inputs, 30);
    expect(kernels).toHaveLength(1);
    const found = requireValid(kernels[0] as Kernel, productKernelOf(kernels[0] as Kernel));
    expect(found.products.map((p) => sizes(p.contracted))).toEqual([[30], [6]]);
    expect([found.rows, found.columns].map(sizes)).toEqual([[20], [40]]);
  });

  test('turned operands change sides, so that all have the same rows', () => {
    const f = (x: Value, w: Value, a: Value, b: Value) =>
      add(matmul(x, w), transpose(matmul(transpose(b), transpose(a))));
    // Without a limit for operands both products are summed up in one kernel.
    const kernel = lastOf(f, inputs);
    const found = requireValid(kernel, productKernelOf(kernel));
    expect(found.products).toHaveLength(2);
    const [first, second] = found.products.map((p) =>
      [p.lhs, p.rhs].map((e) => (e.kind === 'load' ? e.buffer.shape : [])),
    );
    expect([first, second]).toEqual([
      [
        [20, 30],
        [30, 40],
      ],
      [
        [20, 6],
        [6, 40],
      ],
    ]);
  });

  test('that lie differently are no product of matrices', () => {
    const f = (x: Value, w: Value, a: Value, b: Value) =>
      add(
        reshape(matmul(x, w), [4, 5, 40]),
        dot(a, b, { contract: [[2], [1]], batch: [[0], [0]] }),
      );
    const given = [array(20, 30), array(30, 40), array(4, 5, 6), array(4, 6, 40)];
    const together = lastOf(f, given);
    expect(nodesOf(together.body).filter((e) => e.kind === 'fold')).toHaveLength(2);
    expect(productKernelOf(together)).toBeUndefined();
    // Where operands are limited such products get kernels of their own.
    for (const own of planOf(f, given, 30)) requireValid(own, productKernelOf(own));
  });

  test('beside another sum they are none', () => {
    const f = (x: Value, w: Value, a: Value) =>
      add(matmul(x, w), broadcastTo(reduceSum(a), [20, 40]));
    const kernels = planOf(f, [array(20, 30), array(30, 40), array(9)], 30);
    const product = kernels.map(productKernelOf).filter((p) => p !== undefined);
    expect(product).toHaveLength(1);
  });
});

/** Two matrices [4,5] and [3,5] such that their elementwise product is [4,3,5]. */
const spread = (x: Value, y: Value) => [reshape(x, [4, 1, 5]), reshape(y, [1, 3, 5])] as const;
const PAIR = [
  [4, 5],
  [3, 5],
];

test.each<[string, Traceable, number[][]]>([
  ['a sum of squares', (x: Value) => reduceSum(mul(x, x), 1), [[4, 5]]],
  [
    'a sum over rows',
    (x: Value, y: Value) => reduceSum(mul(x, y), 1),
    [PAIR[0], PAIR[0]] as number[][],
  ],
  ['a maximum', (x: Value, y: Value) => reduceMax(mul(...spread(x, y)), 2), PAIR],
  ['a sum of sums', (x: Value, y: Value) => reduceSum(add(...spread(x, y)), 2), PAIR],
  [
    'a matrix times a vector',
    (x: Value, y: Value) => dot(x, y, { contract: [[1], [0]], batch: none }),
    [[4, 5], [5]],
  ],
  ['a place', (x: Value, y: Value) => argmax(mul(...spread(x, y)), 2), PAIR],
  [
    'a product of integers',
    (x: Value, y: Value) => reduceSum(mul(...spread(convert(x, 'int'), convert(y, 'int'))), 2),
    PAIR,
  ],
  [
    'one that is float in the end',
    (x: Value, y: Value) =>
      convert(reduceSum(mul(...spread(convert(x, 'int'), convert(y, 'int'))), 2), 'float'),
    PAIR,
  ],
])('%s is no product of matrices', (_, f, shapes) => {
  for (const kernel of planOf(
    f,
    shapes.map((s) => array(...s)),
    30,
  )) {
    expect(productKernelOf(kernel)).toBeUndefined();
  }
});

test('a sum over a broadcast product is one, too', () => {
  const f = (x: Value, y: Value) => reduceSum(mul(...spread(x, y)), 2);
  const kernel = lastOf(f, [array(4, 5), array(3, 5)]);
  const found = requireValid(kernel, productKernelOf(kernel));
  expect([found.rows, found.columns].map(sizes)).toEqual([[4], [3]]);
});
