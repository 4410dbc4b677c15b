/** The two knobs of the property tests: `FLATLORA_TEST_SEED` and `FLATLORA_TEST_RUNS`. */

/** Examples per property where a test names no number. */
export const DEFAULT_RUNS = 100;

const DEFAULT_SEED = 20_240_922;

/** The seed of all property tests: an integer, or `random` for a new one in every test file. */
export function testSeed(): number {
  const given = process.env.FLATLORA_TEST_SEED ?? '';
  if (given === '') return DEFAULT_SEED;
  if (given === 'random') return Math.floor(Math.random() * 2 ** 31);
  const seed = Number(given);
  if (!Number.isInteger(seed)) {
    throw new RangeError(`FLATLORA_TEST_SEED must be an integer or "random", given "${given}"`);
  }
  return seed;
}

/**
 * The number of examples for a property that names one: `{ numRuns: runs(20) }`. It is multiplied
 * by `FLATLORA_TEST_RUNS`, so that one variable makes the whole suite look harder.
 */
export function runs(count: number): number {
  const factor = Number(process.env.FLATLORA_TEST_RUNS || 1);
  if (!(factor > 0 && Number.isFinite(factor))) {
    throw new RangeError('FLATLORA_TEST_RUNS must be a positive number');
  }
  return Math.max(1, Math.round(count * factor));
}
