/**
 * Products of the webgpu backend against the reference: every tile, sums in one and in several parts,
 * operands in every order of their axes, noise and half precision inside the product.
 */
import {
  add,
  convert,
  type DotParams,
  dot,
  gelu,
  type HostArray,
  key,
  matmul,
  mul,
  normal,
  simplify,
  toHalf,
  trace,
  transpose,
  type Value,
} from '../../../src/autodiff/index.js';
import { type Backend, webgpuBackend } from '../../../src/kernels/index.js';
import { lanesOf, TILES, type Tile, type Tiling } from '../../../src/kernels/webgpu/tiles.js';
import { webgpuIsRequired, webgpuMissing } from '../../support/backends.js';
import { generator, uniformArray } from '../../support/draw.js';
import { checkTape } from '../checking.js';

const array = (seed: number, ...shape: number[]): HostArray =>
  uniformArray(generator(seed), shape, -1, 1);

type Program = (...xs: Value[]) => unknown;

(webgpuMissing === undefined || webgpuIsRequired ? describe : describe.skip)('webgpu', () => {
  let wanted: Tiling | undefined;
  let chosen = 0;
  let backend: Backend;
  beforeAll(async () => {
    backend = await webgpuBackend({
      lanes: 256,
      tiling: (_, tilings) => {
        chosen += 1;
        return wanted ?? tilings[0];
      },
    });
  });
  afterAll(() => backend.dispose());

  /** Runs a program with a tiling; it must hold a product in tiles. */
  const check = async (tiling: Tiling | undefined, f: Program, ...inputs: HostArray[]) => {
    wanted = tiling;
    chosen = 0;
    const note = JSON.stringify(tiling);
    await checkTape(backend, simplify(trace(f, ...inputs)), inputs, note);
    expect(chosen).toBeGreaterThan(0);
  };

  const named = (tiles: readonly Tile[]) => tiles.map((t) => [`${Object.values(t)}`, t] as const);
  test.each(named(TILES))('tile %s, sums that do not fill whole tiles', (_, tile) =>
    check({ tile, parts: 1 }, matmul, array(1, 70, 37), array(2, 37, 45)),
  );
  // A software adapter takes seconds to compile a large workgroup.
  test.each(named(TILES.filter((t) => lanesOf(t) <= 64)))(
    'tile %s, several tiles each way, in parts',
    (_, tile) => check({ tile, parts: 3 }, matmul, array(3, 140, 64), array(4, 64, 132)),
  );

  const orders: readonly (readonly [string, readonly number[], readonly number[], DotParams])[] = [
    ['rows · columns', [20, 30], [30, 40], { contract: [[1], [0]], batch: [[], []] }],
    ['rows · rows', [20, 30], [40, 30], { contract: [[1], [1]], batch: [[], []] }],
    ['columns · columns', [30, 20], [30, 40], { contract: [[0], [0]], batch: [[], []] }],
    ['columns · rows', [30, 20], [40, 30], { contract: [[0], [1]], batch: [[], []] }],
    ['a batch in front', [3, 20, 9], [3, 9, 40], { contract: [[2], [1]], batch: [[0], [0]] }],
    ['a batch inside', [20, 3, 9], [40, 3, 9], { contract: [[2], [2]], batch: [[1], [1]] }],
    [
      'two contracted',
      [20, 3, 7],
      [3, 40, 7],
      {
        contract: [
          [1, 2],
          [0, 2],
        ],
        batch: [[], []],
      },
    ],
    ['two axes of rows', [4, 3, 10, 9], [3, 9, 17], { contract: [[3], [1]], batch: [[1], [0]] }],
  ];
  test.each(orders)('%s', async (_, left, right, params) => {
    const f = (x: Value, y: Value) => dot(x, y, params);
    await check(undefined, f, array(5, ...left), array(6, ...right));
  });

  test('operands and results that are more than loads and stores', async () => {
    const f = (x: Value, w: Value, b: Value) => gelu(add(matmul(mul(x, 0.5), transpose(w)), b));
    await check(undefined, f, array(7, 33, 20), array(8, 30, 20), array(9, 30));
  });

  test('two products in one kernel', async () => {
    const f = (x: Value, w: Value, a: Value, b: Value) => add(matmul(x, w), mul(2, matmul(a, b)));
    for (const parts of [1, 2]) {
      await check(
        { tile: TILES[4] as Tiling['tile'], parts },
        f,
        array(1, 40, 50),
        array(2, 50, 36),
        array(3, 40, 8),
        array(4, 8, 36),
      );
    }
  });

  test.each([
    ['along the terms', (x: Value, w: Value) => matmul(x, transpose(w))],
    ['along the columns', (x: Value, w: Value) => matmul(x, w)],
  ])('noise %s is drawn inside the product', async (_, product) => {
    // Even and odd widths: a block of two words serves neighbours where the width is even.
    for (const width of [32, 33]) {
      const f = (x: Value, w: Value, k: Value) =>
        product(x, add(w, mul(0.1, normal(k, [width, width]))));
      const tape = simplify(trace(f, array(1, 40, width), array(2, width, width), key(5)));
      const executable = await backend.compile(tape);
      // Neither the noise nor the perturbed weight is ever in memory.
      expect(executable.describe()).toMatch(/^1 kernels/);
      executable.dispose();
      await check(undefined, f, array(1, 40, width), array(2, width, width), key(5));
    }
  });

  test.each(['bfloat16', 'float16'] as const)('weights in %s are widened inside', async (half) => {
    for (const width of [32, 33]) {
      const w = toHalf(array(2, 40, width), half);
      const f = (x: Value, v: Value) => matmul(x, transpose(convert(v, 'float')));
      const executable = await backend.compile(simplify(trace(f, array(1, 40, width), w)));
      expect(executable.describe()).toMatch(/^1 kernels/);
      executable.dispose();
      await check(undefined, f, array(1, 40, width), w);
    }
  });
});
