/** What the laws of derivatives and batching are stated for: a function and operands. */
import type fc from 'fast-check';
import {
  constant,
  dtypeOfHost,
  type HostArray,
  isFloat,
  type Value,
} from '../../../src/autodiff/index.js';
import { generator, uniformArray } from '../../support/draw.js';
import { toNumbers, traced } from '../../support/numeric.js';

/** A function of several arrays with several results, and a point in its domain. */
export interface Case {
  readonly f: (xs: readonly Value[]) => readonly Value[];
  readonly inputs: readonly HostArray[];
  /** Seed of directions and weights. */
  readonly seed: number;
  /** Shown when a property fails. */
  readonly note: string;
}

export interface Strategy {
  readonly cases: fc.Arbitrary<Case>;
  /**
   * `smooth`: derivatives are compared with differences; `zero`: derivatives are zero everywhere in
   * the strategy's domain; `through`: they are taken to be the identity, whatever differences say;
   * `none`: there is no float operand.
   */
  readonly derivative: 'smooth' | 'zero' | 'through' | 'none';
}

const isFloatArray = (x: HostArray): boolean => dtypeOfHost(x) === 'float';

/** The float operands as the arguments, the others as constants; the float results. */
export function floatPart({ f, inputs }: Case): {
  readonly g: (xs: readonly Value[]) => readonly Value[];
  readonly x: readonly HostArray[];
} {
  const moving = inputs.map(isFloatArray);
  return {
    x: inputs.filter((_, i) => moving[i]),
    g: (xs) => {
      let next = 0;
      const all = inputs.map((x, i) => (moving[i] ? (xs[next++] as Value) : constant(x)));
      return f(all).filter(isFloat);
    },
  };
}

/** Random arrays of the shapes of others. */
export const directionsLike = (xs: readonly HostArray[], seed: number): HostArray[] => {
  const random = generator(seed);
  return xs.map((x) => uniformArray(random, x.shape, -1, 1));
};

export const flat = (xs: readonly HostArray[]): number[] => xs.flatMap(toNumbers);

/** f's results at its operands. */
export const resultsOf = ({ g, x }: ReturnType<typeof floatPart>): HostArray[] => traced(g, x)(x);
