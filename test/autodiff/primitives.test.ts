/** Every primitive of the registry: its derivatives, against differences and each other. */
import fc from 'fast-check';
import { primitives } from '../../src/autodiff/index.js';
import { runs } from '../tooling/property.js';
import {
  firstOrderLaws,
  identityDerivativeLaws,
  secondOrderLaws,
  zeroDerivativeLaws,
} from './laws/derivatives.js';
import { primitiveStrategies } from './laws/primitiveCases.js';

// A quarter of the shapes has an empty axis; more than 100 have elements.
const CASES = runs(150);

test('every primitive has a strategy, and every strategy a primitive', () => {
  expect(Object.keys(primitiveStrategies).sort()).toEqual(primitives.map((p) => p.name).sort());
});

describe.each(Object.entries(primitiveStrategies))('%s', (_, strategies) => {
  strategies.forEach(({ cases, derivative }, i) => {
    if (derivative === 'smooth') {
      test(`first derivatives (strategy ${i})`, () => {
        fc.assert(fc.property(cases, firstOrderLaws), { numRuns: CASES });
      });
      test(`second derivatives (strategy ${i})`, () => {
        fc.assert(fc.property(cases, secondOrderLaws), { numRuns: CASES });
      });
    } else if (derivative === 'zero') {
      test(`derivatives are zero (strategy ${i})`, () => {
        fc.assert(fc.property(cases, zeroDerivativeLaws), { numRuns: CASES });
      });
    } else if (derivative === 'through') {
      test(`derivatives are the identity (strategy ${i})`, () => {
        fc.assert(fc.property(cases, identityDerivativeLaws), { numRuns: CASES });
      });
    }
  });
});
