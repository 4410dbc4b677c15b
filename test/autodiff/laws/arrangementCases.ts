/** Strategies of the primitives that move elements, take them by index, or make them. */
import fc from 'fast-check';
import { range, type Shape } from '../../../src/autodiff/index.js';
import {
  axisSize,
  integerArray,
  integerBetween,
  type Random,
  shapeOf,
  shuffled,
  wordArray,
} from '../../support/draw.js';
import type { Strategy } from './case.js';
import { bfloat16s, type Draw, float16s, ordinary, someAxes, strategy } from './strategy.js';

const sizesPlus = (random: Random, shape: Shape): number[] =>
  shape.map(() => integerBetween(random, 0, 2));

type Table = Readonly<Record<string, readonly Strategy[]>>;
type Kind = Strategy['derivative'];

const structuralOf = (draw: Draw, kind: Kind): Table => ({
  broadcast: [
    strategy('broadcast', kind, (random, shape) => {
      const axes = someAxes(random, shape);
      return {
        inputs: [
          draw(
            random,
            axes.map((a) => shape[a] as number),
          ),
        ],
        params: { shape, axes },
      };
    }),
  ],
  reshape: [
    strategy('reshape', kind, (random, shape) => {
      const size = shape.reduce((n, d) => n * d, 1);
      const targets = [[size], [1, size], [size, 1], [...shape].reverse(), [1, ...shape, 1]];
      const to = targets[integerBetween(random, 0, targets.length - 1)] as Shape;
      return { inputs: [draw(random, shape)], params: { shape: to } };
    }),
  ],
  transpose: [
    strategy('transpose', kind, (random, shape) => ({
      inputs: [draw(random, shape)],
      params: { permutation: shuffled(random, range(shape.length)) },
    })),
  ],
  slice: [
    strategy(
      'slice',
      kind,
      (random, shape) => {
        const start = shape.map((d) => integerBetween(random, 0, d));
        const limit = shape.map((d, i) => integerBetween(random, start[i] as number, d));
        const stride = shape.map(() => integerBetween(random, 1, 3));
        return { inputs: [draw(random, shape)], params: { start, limit, stride } };
      },
      shapeOf(0, 3, fc.oneof(axisSize, fc.constant(7))),
    ),
  ],
  pad: [
    strategy('pad', kind, (random, shape) => ({
      inputs: [draw(random, shape)],
      params: {
        low: sizesPlus(random, shape),
        high: sizesPlus(random, shape),
        interior: sizesPlus(random, shape),
      },
    })),
  ],
  concat: [
    strategy(
      'concat',
      kind,
      (random, shape) => {
        const axis = integerBetween(random, 0, shape.length - 1);
        const parts = range(integerBetween(random, 1, 3)).map(() =>
          shape.map((d, i) => (i === axis ? integerBetween(random, 0, 3) : d)),
        );
        return { inputs: parts.map((s) => draw(random, s)), params: { axis } };
      },
      shapeOf(1, 3),
    ),
  ],
});

/** Half precision is moved as everything else is. */
const moved = (...tables: readonly Table[]): Table =>
  Object.fromEntries(
    Object.keys(tables[0] as Table).map((name) => [name, tables.flatMap((t) => t[name] ?? [])]),
  );

export const structural: Table = moved(
  structuralOf(ordinary, 'smooth'),
  structuralOf(bfloat16s, 'none'),
  structuralOf(float16s, 'none'),
);

const gatherOf = (draw: Draw, kind: Kind): readonly Strategy[] => [
  // Indices repeat, and some are outside the rows.
  strategy(
    'gather',
    kind,
    (random, shape) => {
      const indices = range(integerBetween(random, 0, 2)).map(() => integerBetween(random, 0, 3));
      const rows = shape[0] as number;
      return { inputs: [draw(random, shape), integerArray(random, indices, -1, rows)] };
    },
    shapeOf(1, 3),
  ),
];

export const indexing: Readonly<Record<string, readonly Strategy[]>> = {
  gather: [...gatherOf(ordinary, 'smooth'), ...gatherOf(bfloat16s, 'none')],
  scatterAdd: [
    strategy('scatterAdd', 'smooth', (random, shape) => {
      const rows = integerBetween(random, 0, 4);
      const rank = integerBetween(random, 0, shape.length);
      return {
        inputs: [integerArray(random, shape.slice(0, rank), -1, rows), ordinary(random, shape)],
        params: { rows },
      };
    }),
  ],
};

export const sources: Readonly<Record<string, readonly Strategy[]>> = {
  constant: [
    strategy('constant', 'none', (random, shape) => ({
      inputs: [],
      params: { value: ordinary(random, shape) },
    })),
    strategy('constant', 'none', (random, shape) => ({
      inputs: [],
      params: { value: bfloat16s(random, shape) },
    })),
  ],
  iota: [
    strategy(
      'iota',
      'none',
      (random, shape) => ({
        inputs: [],
        params: { shape, axis: integerBetween(random, 0, shape.length - 1) },
      }),
      shapeOf(1, 3),
    ),
  ],
  randomBits: [
    strategy('randomBits', 'none', (random, shape) => ({
      inputs: [wordArray(random, [...someAxes(random, shape), 2])],
      params: { shape },
    })),
  ],
  randomNormal: [
    strategy('randomNormal', 'none', (random, shape) => ({
      inputs: [wordArray(random, [...someAxes(random, shape), 2])],
      params: { shape },
    })),
  ],
  deriveKey: [
    strategy('deriveKey', 'none', (random, shape) => ({
      inputs: [wordArray(random, [...shape, 2]), integerArray(random, shape, 0, 2 ** 31 - 1)],
      params: { purpose: random() < 0.5 ? 'split' : 'foldIn' },
    })),
  ],
};
