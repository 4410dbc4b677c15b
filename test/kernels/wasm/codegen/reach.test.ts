/**
 * Lanes that stand for nothing read nothing far away: the last array in memory is walked through in
 * steps so long that one more would leave the memory, which is a trap.
 */
import {
  add,
  type HostArray,
  matmulTransposed,
  pad,
  reduceMax,
  reduceSum,
  slice,
  sub,
  tanh,
  transpose,
  type Value,
} from '../../../../src/autodiff/index.js';
import { tilingOf } from '../../../../src/kernels/wasm/product/tiling.js';
import { generator, uniformArray } from '../../../support/draw.js';
import { kernelsOf, openSetting } from './setting.js';

const setting = openSetting();
/** Each row is 0.24 MB, a ninth of the array; memories have at most an eighth to spare. */
const LONG = 60_000;
const ROWS = 9;
const long = uniformArray(generator(1), [ROWS, LONG], -1, 1);
const small = (...shape: number[]): HostArray => uniformArray(generator(2), shape, -1, 1);

/** [9, 4], the steps between its elements long along one axis and more than one along the other. */
const far = (w: Value): Value => slice(w, [0, LONG - 8], [ROWS, LONG], [1, 2]);

/** [9, 8], steps long between rows only. */
const near = (w: Value): Value => slice(w, [0, LONG - 8], [ROWS, LONG]);

/** Zeros in as many rows before and after. */
const amid = (w: Value): Value => pad(far(w), [ROWS, 0], [ROWS, 0]);

test.each<[string, boolean, (x: Value, w: Value) => Value, HostArray]>([
  ['lhs', true, (x, w) => matmulTransposed(far(w), x), small(10, 4)],
  ['rhs', true, (x, w) => matmulTransposed(x, far(w)), small(10, 4)],
  ['lhs, its terms side by side', true, (x, w) => matmulTransposed(near(w), x), small(10, 8)],
  ['rhs, its terms side by side', true, (x, w) => matmulTransposed(x, near(w)), small(10, 8)],
  [
    'the epilogue',
    true,
    (x, w) => add(matmulTransposed(x, x), slice(far(w), [0, 0], [9, 1])),
    small(9, 4),
  ],
  [
    'its columns',
    true,
    (x, w) => {
      const row = transpose(slice(far(w), [0, 0], [9, 1]));
      return add(matmulTransposed(x, x), row);
    },
    small(9, 4),
  ],
  ['an elementwise kernel', false, (_, w) => tanh(transpose(far(w))), small(1)],
  ['a sum', false, (x, w) => sub(reduceSum(far(w), 0), x), small(4)],
  ['a sum across', false, (x, w) => sub(reduceSum(far(w), 1), x), small(9)],
  ['zeros around', false, (_, w) => tanh(amid(w)), small(1)],
  ['zeros around, summed', false, (x, w) => sub(reduceSum(amid(w), 0), x), small(4)],
  ['zeros around an operand', true, (x, w) => matmulTransposed(x, amid(w)), small(10, 4)],
  ['a maximum', false, (x, w) => sub(reduceMax(far(w)), x), small(1)],
])('%s', async (name, isProduct, f, x) => {
  const inputs = [x, long];
  const tilings = kernelsOf(f, inputs).map((k) => tilingOf(k, setting.relaxed()));
  expect(tilings.some((t) => t !== undefined)).toBe(isProduct);
  await setting.check(f, inputs, name);
});
