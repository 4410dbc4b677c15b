/**
 * For every primitive, strategies that make valid operands and parameters: shapes of rank 0 to 3
 * with odd sizes, axes of size one and, where they are legal, of size zero.
 *
 * Where a primitive has kinks or singularities its operands stay away from them, by at least 0.2 in
 * the operand, so that differences with steps of 0.002 mean something: `abs` and `sign` of 0, `floor`
 * of whole numbers, `div` by 0, `log`, `sqrt` and `pow` at 0, ties of `max`, `min`, `reduceMax`,
 * `argmax`, `lt` and `equal`. What holds at those points is tested one by one in `kinks.test.ts`.
 */
import fc from 'fast-check';
import {
  type Converted,
  type DotParams,
  floats,
  type HostArray,
  ints,
  mul,
  range,
  reduceSum,
  type Shape,
  sin,
  sizeOf,
  sub,
  tanh,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  awayFromZero,
  between,
  boolArray,
  integerBetween,
  positiveSize,
  type Random,
  shapeOf,
  shuffled,
  spacedArray,
  wordArray,
} from '../../support/draw.js';
import { indexing, sources, structural } from './arrangementCases.js';
import type { Strategy } from './case.js';
import { fusedStrategies } from './fusedCases.js';
import {
  bfloat16s,
  type Draw,
  float16s,
  nonZero,
  ordinary,
  positive,
  someAxes,
  strategy,
  wholeNumbers,
} from './strategy.js';

/** Two arrays that differ by 0.3 to 2 everywhere. */
const apart = (random: Random, shape: Shape): HostArray[] => {
  const x = ordinary(random, shape);
  const gap = awayFromZero(random, shape, 0.3, 2);
  return [
    x,
    floats(
      Array.from(x.data, (v, i) => v + (gap.data[i] as number)),
      shape,
    ),
  ];
};

const smooth = (name: string, ...draws: readonly Draw[]): Strategy =>
  strategy(name, 'smooth', (random, shape) => ({ inputs: draws.map((d) => d(random, shape)) }));
const discrete = (name: string, ...draws: readonly Draw[]): Strategy =>
  strategy(name, 'none', (random, shape) => ({ inputs: draws.map((d) => d(random, shape)) }));
const flatOf = (name: string, ...draws: readonly Draw[]): Strategy =>
  strategy(name, 'zero', (random, shape) => ({ inputs: draws.map((d) => d(random, shape)) }));
const through = (name: string, ...draws: readonly Draw[]): Strategy =>
  strategy(name, 'through', (random, shape) => ({ inputs: draws.map((d) => d(random, shape)) }));
const pairs = (name: string, derivative: Strategy['derivative']): Strategy =>
  strategy(name, derivative, (random, shape) => ({ inputs: apart(random, shape) }));

const reduction = (name: string, derivative: Strategy['derivative'], draw: Draw): Strategy =>
  strategy(name, derivative, (random, shape) => ({
    inputs: [draw(random, shape)],
    params: { axes: someAxes(random, shape) },
  }));

/** A product with random numbers of batch, contracted and free axes in random places. */
function dotCase(random: Random): { readonly params: DotParams; readonly shapes: [Shape, Shape] } {
  const sizes = (count: number) => range(count).map(() => integerBetween(random, 1, 3));
  const batch = sizes(integerBetween(random, 0, 1));
  const contract = sizes(integerBetween(random, 0, 2));
  const empty = random() < 0.1 && contract.length > 0;
  if (empty) contract[0] = 0;
  const place = (free: readonly number[]) => {
    const labelled = shuffled(random, [
      ...batch.map((size, i) => ({ size, kind: 'batch', i })),
      ...contract.map((size, i) => ({ size, kind: 'contract', i })),
      ...free.map((size, i) => ({ size, kind: 'free', i })),
    ]);
    const where = (kind: string, count: number) =>
      range(count).map((i) => labelled.findIndex((l) => l.kind === kind && l.i === i));
    return {
      shape: labelled.map((l) => l.size),
      batch: where('batch', batch.length),
      contract: where('contract', contract.length),
    };
  };
  const lhs = place(sizes(integerBetween(random, 0, 2)));
  const rhs = place(sizes(integerBetween(random, 0, 2)));
  return {
    params: { contract: [lhs.contract, rhs.contract], batch: [lhs.batch, rhs.batch] },
    shapes: [lhs.shape, rhs.shape],
  };
}

/** A tape for `checkpoint`: two float results of different shape, and an operand used twice. */
const heldTape = (shape: Shape) => {
  const inner = ([x, y]: readonly Value[]) => {
    const product = mul(sin(x as Value), y as Value);
    return [sub(product, tanh(x as Value)), reduceSum(mul(product, y as Value))];
  };
  const zero = floats(new Float64Array(shape.reduce((n, d) => n * d, 1)), shape);
  return trace((x: Value, y: Value) => inner([x, y]), zero, zero);
};

const convertTo = (to: Converted, derivative: Strategy['derivative'], draw: Draw) =>
  strategy('convert', derivative, (random, shape) => ({
    inputs: [draw(random, shape)],
    params: { dtype: to },
  }));

/** Strategies by primitive name. A primitive without one fails the suite. */
export const primitiveStrategies: Readonly<Record<string, readonly Strategy[]>> = {
  add: [smooth('add', ordinary, ordinary), discrete('add', wholeNumbers, wholeNumbers)],
  sub: [smooth('sub', ordinary, ordinary), discrete('sub', wholeNumbers, wholeNumbers)],
  mul: [smooth('mul', ordinary, ordinary), discrete('mul', wholeNumbers, wholeNumbers)],
  div: [smooth('div', ordinary, nonZero)],
  neg: [smooth('neg', ordinary), discrete('neg', wholeNumbers)],
  pow: [smooth('pow', positive, ordinary)],
  abs: [smooth('abs', nonZero), discrete('abs', wholeNumbers)],
  sign: [flatOf('sign', nonZero), discrete('sign', wholeNumbers)],
  floor: [
    flatOf('floor', (random, shape) =>
      floats(
        Array.from(wholeNumbers(random, shape).data, (n) => n + between(random, 0.2, 0.8)),
        shape,
      ),
    ),
  ],
  exp: [smooth('exp', ordinary)],
  log: [smooth('log', positive)],
  sin: [smooth('sin', ordinary)],
  cos: [smooth('cos', ordinary)],
  tanh: [smooth('tanh', ordinary)],
  erf: [smooth('erf', ordinary)],
  sqrt: [smooth('sqrt', positive)],
  max: [pairs('max', 'smooth'), discrete('max', wholeNumbers, wholeNumbers)],
  min: [pairs('min', 'smooth'), discrete('min', wholeNumbers, wholeNumbers)],
  lt: [pairs('lt', 'zero'), discrete('lt', wholeNumbers, wholeNumbers)],
  equal: [pairs('equal', 'zero'), discrete('equal', wholeNumbers, wholeNumbers)],
  select: [
    smooth('select', boolArray, ordinary, ordinary),
    discrete('select', boolArray, wholeNumbers, wholeNumbers),
  ],
  convert: [
    convertTo('float', 'smooth', ordinary),
    convertTo('int', 'zero', nonZero),
    convertTo('float', 'none', wholeNumbers),
    convertTo('float', 'none', boolArray),
    convertTo('int', 'none', boolArray),
    convertTo('bfloat16', 'zero', ordinary),
    convertTo('float16', 'zero', ordinary),
    convertTo('float', 'none', bfloat16s),
    convertTo('float', 'none', float16s),
    convertTo('bfloat16', 'none', bfloat16s),
  ],
  roundToBfloat16: [through('roundToBfloat16', ordinary)],
  roundToFloat16: [through('roundToFloat16', ordinary)],
  bitsToUniform: [discrete('bitsToUniform', wordArray)],
  nibble: [
    discrete('nibble', wordArray, (random, shape) =>
      ints(
        Array.from({ length: sizeOf(shape) }, () => Math.floor(8 * random())),
        shape,
      ),
    ),
  ],
  stopGradient: [flatOf('stopGradient', ordinary), discrete('stopGradient', bfloat16s)],
  ...sources,
  ...structural,
  reduceSum: [
    reduction('reduceSum', 'smooth', ordinary),
    reduction('reduceSum', 'none', wholeNumbers),
  ],
  reduceMax: [
    // −∞ of nothing has no derivative: no empty axes here.
    strategy(
      'reduceMax',
      'smooth',
      (random, shape) => ({
        inputs: [spacedArray(random, shape)],
        params: { axes: someAxes(random, shape) },
      }),
      shapeOf(0, 3, positiveSize),
    ),
    reduction('reduceMax', 'none', wholeNumbers),
  ],
  argmax: [
    strategy(
      'argmax',
      'zero',
      (random, shape) => ({
        inputs: [spacedArray(random, shape)],
        params: { axis: integerBetween(random, 0, shape.length - 1) },
      }),
      shapeOf(1, 3, positiveSize),
    ),
  ],
  dot: [
    strategy(
      'dot',
      'smooth',
      (random) => {
        const { params, shapes } = dotCase(random);
        return { inputs: shapes.map((s) => ordinary(random, s)), params };
      },
      fc.constant([]),
    ),
  ],
  ...indexing,
  checkpoint: [
    strategy('checkpoint', 'smooth', (random, shape) => ({
      inputs: [ordinary(random, shape), ordinary(random, shape)],
      params: { tape: heldTape(shape) },
    })),
  ],
  ...fusedStrategies,
};
