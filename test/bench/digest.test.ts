/** When two engines agree. */
import { digest, digestAll, worstDifference } from '../../bench/src/harness/digest.js';
import { firstSteps, QUIET_STEPS, strengthAt } from '../../bench/src/harness/steps.js';

const numbers = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i));

test('the root mean square and evenly spread elements are kept', () => {
  expect(digest([3, 4]).rms).toBeCloseTo(Math.sqrt(12.5));
  const { samples } = digest(Array.from({ length: 160 }, (_, i) => i));
  expect(samples).toEqual(Array.from({ length: 16 }, (_, i) => 10 * i));
  expect(digest([7]).samples).toEqual([7]);
});

test('equal results do not differ, and a changed element is a share of the size', () => {
  const ours = digestAll({ product: numbers });
  expect(worstDifference(ours, ours).difference).toBe(0);
  const changed = numbers.slice();
  changed[0] = (changed[0] as number) + 0.1;
  const { name, difference } = worstDifference(ours, digestAll({ product: changed }));
  expect(name).toBe('product');
  expect(difference).toBeCloseTo(0.1 / digest(numbers).rms, 4);
});

test.each([
  ['NaN in theirs', [1, Number.NaN, 3]],
  ['an infinity in theirs', [1, Number.POSITIVE_INFINITY, 3]],
])('%s never agrees, not even after JSON, which has no such numbers', (_, theirs) => {
  const ours = digestAll({ x: [1, 2, 3] });
  const sent = JSON.parse(JSON.stringify(digestAll({ x: theirs })));
  expect(worstDifference(ours, sent).difference).toBe(Infinity);
  expect(worstDifference(sent, ours).difference).toBe(Infinity);
});

test('a result that is missing or has another size never agrees', () => {
  const ours = digestAll({ x: [1, 2, 3] });
  expect(worstDifference(ours, {}).difference).toBe(Infinity);
  expect(worstDifference(ours, digestAll({ x: [1, 2] })).difference).toBe(Infinity);
});

test('training steps are compared without noise first, then once with it', async () => {
  let step = 0;
  const digests = await firstSteps(async () => ({ loss: step++, gradientNorm: 10 + step }));
  expect(step).toBe(QUIET_STEPS + 1);
  expect(digests.losses?.samples).toEqual([0, 1, 2]);
  expect(digests.noisyLoss?.samples).toEqual([3]);
  expect([0, QUIET_STEPS - 1, QUIET_STEPS].map((s) => strengthAt(s, 0.05))).toEqual([0, 0, 0.05]);
});
