/** From shapes and random draws to cases of a primitive. */
import fc from 'fast-check';
import {
  apply,
  type HostArray,
  type Params,
  type Primitive,
  primitives,
  range,
  type Shape,
} from '../../../src/autodiff/index.js';
import {
  anyShape,
  awayFromZero,
  generator,
  halfArray,
  integerArray,
  type Random,
  seeds,
  uniformArray,
} from '../../support/draw.js';
import type { Case, Strategy } from './case.js';

interface Application {
  readonly inputs: readonly HostArray[];
  readonly params?: Params;
}

export type Build = (random: Random, shape: Shape) => Application;

const find = (name: string): Primitive => {
  const found = primitives.find((p) => p.name === name);
  if (found === undefined) throw new Error(`no primitive is called ${name}`);
  return found;
};

const show = (x: unknown): string =>
  JSON.stringify(x, (k, v) => (k === 'tape' ? 'tape' : k === 'value' ? 'value' : v));

/** Cases of one primitive from a shape and random draws. */
export function strategy(
  name: string,
  derivative: Strategy['derivative'],
  build: Build,
  shapes: fc.Arbitrary<Shape> = anyShape,
): Strategy {
  const primitive = find(name);
  const cases = fc.tuple(shapes, seeds).map(([shape, seed]): Case => {
    const { inputs, params = {} } = build(generator(seed), shape);
    const operands = inputs.map((x) => `[${x.shape.join(',')}]`).join(' ');
    return {
      f: (xs) => apply(primitive, xs, params),
      inputs,
      seed,
      note: `${name}${show(params)} ${operands}`,
    };
  });
  return { cases, derivative };
}

export type Draw = (random: Random, shape: Shape) => HostArray;

export const ordinary: Draw = (random, shape) => uniformArray(random, shape, -2, 2);
export const positive: Draw = (random, shape) => uniformArray(random, shape, 0.5, 3);
export const nonZero: Draw = (random, shape) => awayFromZero(random, shape, 0.5, 2);
export const wholeNumbers: Draw = (random, shape) => integerArray(random, shape, -3, 3);

export const bfloat16s: Draw = (random, shape) => halfArray(random, shape, 'bfloat16');
export const float16s: Draw = (random, shape) => halfArray(random, shape, 'float16');

/** Random axes of a shape, ascending. */
export const someAxes = (random: Random, shape: Shape): number[] =>
  range(shape.length).filter(() => random() < 0.5);
