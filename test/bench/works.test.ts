/** The works of the benchmark: their operations, arrays, names and options. */
import { flopsOf } from '../../bench/src/harness/flops.js';
import { planLowerBound } from '../../bench/src/harness/planText.js';
import { integers, normals } from '../../bench/src/harness/random.js';
import { factorsOf, treeOf } from '../../bench/src/harness/tree.js';
import { parseOptions } from '../../bench/src/options.js';
import { growthSeries } from '../../bench/src/works/growth.js';
import { decoderSpec, flatPairs, stepCases, vitSpec } from '../../bench/src/works/models.js';
import { attentionCases, matmulCases, mlpCases } from '../../bench/src/works/products.js';
import { isSelected } from '../../bench/src/works/work.js';

const FULL = { quick: false, gpu: false };

describe('operations', () => {
  test('of products', () => {
    const [first] = matmulCases(FULL);
    expect(flopsOf(first?.spec as never)).toBe(2 * 256 ** 3);
    const [mlp] = mlpCases(FULL);
    expect(flopsOf(mlp?.spec as never)).toBe(6 * 2 * 512 * 256 * 1024);
    const [causal, full] = attentionCases(FULL).map(({ spec }) => flopsOf(spec));
    expect(full).toBe(6 * 2 * 8 * 4 * 256 * 256 * 64);
    expect(causal).toBe((full as number) / 2);
  });

  test('of a step grow with the batch, and are about four per weight and token', () => {
    const size = { width: 256, depth: 6, heads: 4, tokens: 256, batch: 8 };
    const flops = flopsOf(decoderSpec(size));
    expect(flopsOf(decoderSpec({ ...size, batch: 16 }))).toBe(2 * flops);
    const perWeight = flops / (6 * 12 * 256 ** 2) / (8 * 256);
    expect(perWeight).toBeGreaterThan(4);
    expect(perWeight).toBeLessThan(6);
    expect(flopsOf(vitSpec({ ...size, tokens: 64 }, 0.05))).toBe(
      flopsOf(vitSpec({ ...size, tokens: 64 })),
    );
  });
});

test('all arrays of a step have the sizes that their shapes tell, and every layer its factors', () => {
  for (const { tensors } of stepCases({ quick: true, gpu: false })) {
    const all = tensors();
    for (const { data, shape } of Object.values(all)) {
      expect(data.length).toBe(shape.reduce((n, d) => n * d, 1));
    }
    expect(Object.keys(all).filter((name) => name.startsWith('a/')).length).toBe(2 * 6 * 2);
  }
});

test('inputs are the same every time, with the mean and deviation asked for', () => {
  const { data: drawn } = normals(3, [10_000], 0.5);
  const data = [...drawn];
  expect([...normals(3, [10_000], 0.5).data]).toEqual(data);
  expect([...normals(4, [10_000], 0.5).data]).not.toEqual(data);
  const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
  const square = data.reduce((sum, x) => sum + x * x, 0) / data.length;
  expect(Math.abs(mean)).toBeLessThan(0.03);
  expect(Math.sqrt(square)).toBeCloseTo(0.5, 1);
  const ids = integers(5, [1000], 7).data;
  expect(new Set(ids)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
});

test('names are unique, and one selects a work or all of its cases', () => {
  const names = [
    ...matmulCases(FULL),
    ...mlpCases(FULL),
    ...attentionCases(FULL),
    ...stepCases(FULL),
    ...flatPairs(FULL),
    ...growthSeries(FULL),
  ].map(({ work }) => work);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => isSelected(name, 'matmul')).length).toBe(9);
  expect(names.filter((name) => isSelected(name, 'matmul/512'))).toEqual(['matmul/512']);
  expect(names.filter((name) => isSelected(name, 'vit'))).toEqual([]);
  expect(names.filter((name) => isSelected(name, undefined))).toEqual(names);
});

test('Flat-LoRA is set against the very same step without noise', () => {
  for (const { pair } of flatPairs(FULL)) {
    const [lora, flat] = pair.map(({ spec }) => spec as ReturnType<typeof vitSpec>);
    expect(flat?.sigma).toBe(0.05);
    expect(lora).toEqual({ ...flat, sigma: 0 });
    const { tokens, batch } = (flat as ReturnType<typeof vitSpec>).size;
    expect(tokens * batch).toBe(2048);
  }
});

test('trees from named arrays', () => {
  const named = { 'blocks.0.w': 1, 'blocks.1.w': 2, 'head.bias': 3 };
  expect(treeOf(named)).toEqual({ blocks: [{ w: 1 }, { w: 2 }], head: { bias: 3 } });
  expect(factorsOf({ 'x.weight.a': 1, 'x.weight.b': 2 })).toEqual({ 'x.weight': { a: 1, b: 2 } });
});

test("a plan's least memory is read from its text", () => {
  const text =
    '3 kernels\npeak memory 3 KB: inputs, constants and outputs 1.50 KB, intermediates 1.6 KB (no placement needs less than 512 B)';
  expect(planLowerBound(text)).toBe(2012);
  expect(planLowerBound('3 kernels')).toBeUndefined();
});

describe('the command line', () => {
  test('options and their values', () => {
    expect(parseOptions(['--only', 'matmul', '--quick', '--json', 'x.json'])).toMatchObject({
      only: 'matmul',
      quick: true,
      json: 'x.json',
      gpu: false,
    });
    expect(parseOptions(['--device', 'gpu'])).toMatchObject({ gpu: true });
  });

  test.each([
    [['--fast'], 'unknown option --fast'],
    [['--only'], '--only needs a value'],
    [['--only', '--quick'], '--only needs a value'],
    [['--device', 'tpu'], '--device is tpu, expected cpu or gpu'],
    [['--threads', '0'], '--threads is 0, expected a positive integer'],
  ])('%j is refused', (args, message) => {
    expect(parseOptions(args)).toContain(message);
  });
});
