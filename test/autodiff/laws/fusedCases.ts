/** Strategies of fused primitives: attention and its backward pass, with and without a mask. */
import fc from 'fast-check';
import {
  type HostArray,
  hostArray,
  range,
  type Shape,
  sizeOf,
} from '../../../src/autodiff/index.js';
import { between, integerBetween, type Random, uniformArray } from '../../support/draw.js';
import type { Strategy } from './case.js';
import { strategy } from './strategy.js';

const small = (random: Random, shape: Shape): HostArray => uniformArray(random, shape, -1, 1);

/** Which keys a query may look at; the first always, for a query that sees none has no derivative. */
const someKeys = (random: Random, shape: Shape): HostArray => {
  const keys = shape.at(-1) as number;
  const seen = range(sizeOf(shape)).map((i) => i % keys === 0 || random() < 0.6);
  return hostArray(Uint8Array.from(seen, Number), shape);
};

function drawn(random: Random) {
  const batch = range(integerBetween(random, 0, 2)).map(() => integerBetween(random, 1, 3));
  const [queries, keys, depth, width] = range(4).map(() => integerBetween(random, 1, 5)) as [
    number,
    number,
    number,
    number,
  ];
  return {
    rows: [...batch, queries],
    scores: [...batch, queries, keys],
    qkv: [
      small(random, [...batch, queries, depth]),
      small(random, [...batch, keys, depth]),
      small(random, [...batch, keys, width]),
    ],
    dOut: small(random, [...batch, queries, width]),
    params: { scale: between(random, 0.3, 1.2), causal: random() < 0.5 },
  };
}

const forward = (masked: boolean): Strategy =>
  strategy(
    'attention',
    'smooth',
    (random) => {
      const { qkv, scores, params } = drawn(random);
      return { inputs: [...qkv, ...(masked ? [someKeys(random, scores)] : [])], params };
    },
    fc.constant([]),
  );

const backward = (masked: boolean): Strategy =>
  strategy(
    'attentionBackward',
    'smooth',
    (random) => {
      const { qkv, rows, scores, dOut, params } = drawn(random);
      const logSumExp = uniformArray(random, rows, 1, 3);
      const mask = masked ? [someKeys(random, scores)] : [];
      return { inputs: [...qkv, logSumExp, dOut, small(random, rows), ...mask], params };
    },
    fc.constant([]),
  );

export const fusedStrategies: Readonly<Record<string, readonly Strategy[]>> = {
  attention: [forward(false), forward(true)],
  attentionBackward: [backward(false), backward(true)],
};
