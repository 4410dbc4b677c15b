/** The batching rule of every primitive, and vmap together with itself and with grad. */
import fc from 'fast-check';
import {
  dtypeOfHost,
  floats,
  type HalfPrecision,
  type HostArray,
  range,
} from '../../src/autodiff/index.js';
import {
  between,
  boolArray,
  generator,
  halfArray,
  integerArray,
  type Random,
  shuffled,
  wordArray,
} from '../support/draw.js';
import { toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import { gradOfVmap, vmapIsLoop, vmapOfVmap } from './laws/batching.js';
import { type Case, floatPart } from './laws/case.js';
import { primitiveStrategies } from './laws/primitiveCases.js';

/** Other data of the same shape and type: floats stay near the old ones, in another order. */
function vary(random: Random, x: HostArray): HostArray {
  const numbers = toNumbers(x);
  switch (dtypeOfHost(x)) {
    case 'float':
      return floats(
        shuffled(random, numbers).map((n) => n * between(random, 0.9, 1.1)),
        x.shape,
      );
    case 'int':
      return integerArray(random, x.shape, Math.min(0, ...numbers) - 1, Math.max(0, ...numbers));
    case 'uint':
      return wordArray(random, x.shape);
    case 'bool':
      return boolArray(random, x.shape);
    case 'bfloat16':
    case 'float16':
      return halfArray(random, x.shape, dtypeOfHost(x) as HalfPrecision);
  }
}

const varied = (base: Case, count: number, seed: number): Case[] => {
  const random = generator(seed);
  return range(count).map((i) =>
    i === 0 ? base : { ...base, inputs: base.inputs.map((x) => vary(random, x)) },
  );
};

/** All subsets of `count` operands but the empty one. */
const subsets = (count: number): boolean[][] =>
  range(2 ** count)
    .slice(1)
    .map((bits) => range(count).map((i) => ((bits >> i) & 1) === 1));

/** All of them for up to three operands, else seven at random. */
const someSubsets = (count: number, seed: number): boolean[][] =>
  shuffled(generator(seed), subsets(count)).slice(0, 7);

/** Primitives without operands are mapped over an operand that they ignore. */
const withOperand = (c: Case): Case =>
  c.inputs.length > 0 ? c : { ...c, inputs: [floats([1, 2])], f: () => c.f([]) };

const describeSubset = (c: Case, batched: readonly boolean[]) =>
  `${c.note}, batched ${batched.map(Number).join('')}`;

describe.each(Object.entries(primitiveStrategies))('%s', (_, strategies) => {
  strategies.forEach(({ cases, derivative }, i) => {
    const batches = fc.tuple(cases.map(withOperand), fc.constantFrom(1, 2, 3));

    test(`vmap is a loop, whichever operands are batched (strategy ${i})`, () => {
      fc.assert(
        fc.property(batches, ([base, size]) => {
          const examples = varied(base, size, base.seed);
          for (const batched of someSubsets(base.inputs.length, base.seed)) {
            vmapIsLoop(examples, batched, describeSubset(base, batched));
          }
        }),
        { numRuns: runs(60) },
      );
    });

    test(`vmap of vmap is a double loop (strategy ${i})`, () => {
      fc.assert(
        fc.property(batches, fc.nat(), fc.nat(), ([base, size], a, b) => {
          const rows = varied(base, 2, base.seed);
          const grid = rows.map((row, k) => varied(row, size, base.seed + k));
          const all = subsets(base.inputs.length);
          const [outer, inner] = [a, b].map((n) => all[n % all.length] as boolean[]);
          vmapOfVmap(grid, outer as boolean[], inner as boolean[], base.note);
        }),
        { numRuns: runs(60) },
      );
    });

    if (derivative === 'smooth') {
      test(`grad of vmap is vmap of grad, summed (strategy ${i})`, () => {
        fc.assert(
          fc.property(batches, ([base, size]) => {
            const examples = varied(base, size, base.seed);
            for (const batched of someSubsets(floatPart(base).x.length, base.seed)) {
              gradOfVmap(examples, batched, describeSubset(base, batched));
            }
          }),
          { numRuns: runs(30) },
        );
      });
    }
  });
});
