/** Random programs of ordinary operations, for comparing backends on fused expressions. */
import {
  add,
  argmax,
  broadcastTo,
  concat,
  convert,
  exp,
  gather,
  gelu,
  type HostArray,
  iota,
  log,
  lt,
  matmul,
  max,
  mean,
  mul,
  neg,
  pad,
  range,
  reduceMax,
  reduceSum,
  reshape,
  scatterAdd,
  select,
  sin,
  slice,
  softmax,
  sub,
  tanh,
  transpose,
  type Value,
} from '../../src/autodiff/index.js';
import { generator, integerBetween, type Random, shuffled, uniformArray } from '../support/draw.js';

const pick = <A>(random: Random, list: readonly A[]): A =>
  list[integerBetween(random, 0, list.length - 1)] as A;

/** Equal random numbers every time: programs are traced more than once. */
const last = (x: Value) => x.shape.length - 1;
const withAxes = (x: Value, least: number): Value =>
  x.shape.length >= least
    ? x
    : reshape(x, [...range(least - x.shape.length).map(() => 1), ...x.shape]);

type Step = (random: Random, x: Value, y: Value) => Value;

/** Each keeps numbers of order one, so that errors are not blown up. */
const steps: Readonly<Record<string, Step>> = {
  tanh: (_, x) => tanh(x),
  sin: (_, x) => sin(x),
  neg: (_, x) => neg(x),
  exp: (_, x) => exp(tanh(x)),
  log: (_, x) => log(add(1.5, mul(x, x))),
  gelu: (_, x) => gelu(x),
  max: (_, x) => max(x, 0.25),
  affine: (random, x) => sub(mul(0.5 + random(), x), random()),
  positions: (_, x) => {
    const v = withAxes(x, 1);
    return add(v, mul(0.1, convert(iota(v.shape, last(v)), 'float')));
  },
  together: (_, x, y) => {
    const [a, b] = [reshape(x, [-1, 1]), reshape(y, [1, -1])];
    const few = slice(b, [0, 0], [1, Math.min(4, b.shape[1] as number)]);
    return mul(add(slice(a, [0, 0], [Math.min(6, a.shape[0] as number), 1]), few), 0.5);
  },
  choice: (_, x) => select(lt(x, 0.123), mul(x, 0.5), sub(x, 0.7)),
  softmax: (_, x) => softmax(withAxes(x, 1)),
  mean: (random, x) =>
    mean(withAxes(x, 1), integerBetween(random, 0, withAxes(x, 1).shape.length - 1), {
      keepAxes: random() < 0.5,
    }),
  centred: (_, x) => {
    const v = withAxes(x, 1);
    return sub(v, mean(v, -1, { keepAxes: true }));
  },
  greatest: (random, x) => reduceMax(withAxes(x, 1), -1, { keepAxes: random() < 0.5 }),
  winner: (_, x) => mul(0.1, convert(argmax(withAxes(x, 1)), 'float')),
  flat: (_, x) => reshape(x, [-1]),
  grid: (_, x) =>
    reshape(x, [
      -1,
      pick(
        () => 0,
        [1, 2, 3].filter((n) => sizeOf(x) % n === 0),
      ),
    ]),
  turned: (random, x) => transpose(x, shuffled(random, range(x.shape.length))),
  part: (random, x) =>
    slice(
      x,
      x.shape.map((d) => integerBetween(random, 0, Math.max(0, d - 2))),
      x.shape,
      x.shape.map(() => integerBetween(random, 1, 2)),
    ),
  wider: (random, x) =>
    pad(
      x,
      x.shape.map(() => integerBetween(random, 0, 1)),
      x.shape.map(() => integerBetween(random, 0, 1)),
      x.shape.map(() => (sizeOf(x) < 40 ? integerBetween(random, 0, 1) : 0)),
    ),
  joined: (random, x) => {
    const v = withAxes(x, 1);
    const axis = integerBetween(random, 0, last(v));
    return concat([tanh(v), v, neg(v)], axis);
  },
  repeated: (_, x) => broadcastTo(x, [2, ...x.shape]),
  product: (_, x) => {
    const v = reshape(x, [-1, x.shape.at(-1) ?? 1]);
    return mul(1 / sizeOf(x), matmul(v, transpose(v)));
  },
  rows: (random, x) => {
    const v = withAxes(x, 1);
    const indices = convert(mul(sin(convert(iota([5]), 'float')), v.shape[0] as number), 'int');
    const rows = gather(v, indices);
    return random() < 0.5 ? rows : scatterAdd(indices, rows, v.shape[0] as number);
  },
};

const sizeOf = (x: Value): number => x.shape.reduce((n, d) => n * d, 1);

/** What is left of a value that grew too large. */
const small = (x: Value): Value =>
  sizeOf(x) > 400 || x.shape.length > 4 ? mean(reshape(x, [x.shape[0] ?? 1, -1]), 0) : x;

export interface RandomProgram {
  readonly f: (...xs: Value[]) => readonly Value[];
  readonly inputs: readonly HostArray[];
  /** The operations used, in order. */
  readonly note: string;
}

/** A program of `length` steps on two arrays; the last values are its results. */
export function randomProgram(seed: number, length: number): RandomProgram {
  const random = generator(seed);
  const inputs = [
    uniformArray(random, [integerBetween(random, 1, 5), integerBetween(random, 1, 6)]),
    uniformArray(random, [integerBetween(random, 1, 7)]),
  ];
  const names = range(length).map(() => pick(random, Object.keys(steps)));
  const start = integerBetween(random, 0, 2 ** 30);
  const f = (...xs: Value[]) => {
    const again = generator(start);
    const pool = [...xs];
    for (const name of names) {
      const recent = pool.slice(-3);
      const [x, y] = [pick(again, recent), pick(again, recent)];
      pool.push(small((steps[name] as Step)(again, x, y)));
    }
    const total = pool.map((x) => reduceSum(mul(0.1, x))).reduce((a, b) => add(a, b));
    return [...pool.slice(-2), total];
  };
  return { f, inputs, note: `seed ${seed}: ${names.join(' ')}` };
}
