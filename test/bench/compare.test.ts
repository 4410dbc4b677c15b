/** Entering engines into a case and running them in turn, with engines that are a few lines each. */
import {
  type Contestant,
  enter,
  ownTime,
  race,
  rowsOf,
  type Timing,
} from '../../bench/src/harness/compare.js';
import { digestAll } from '../../bench/src/harness/digest.js';
import type { EngineProcess } from '../../bench/src/harness/process.js';

const TIMING: Timing = { sampleMs: 1, warmUpMs: 0, budgetMs: 1, leastRounds: 3, mostRounds: 3 };
const CASE = { work: 'w', tolerance: 1e-3 };
const JOB = { spec: { kind: 'matmul' } as never, tensors: {} };

/** An engine with given results, which takes `ms` a run and fails from its run number `failsAt` on. */
function fake(
  name: string,
  results: Readonly<Record<string, readonly number[]>> | Error,
  { ms = 1, failsAt = Number.POSITIVE_INFINITY, epsilon = 0, log = [] as string[] } = {},
): Contestant {
  let runs = 0;
  const process: EngineProcess = {
    hello: async () => ({ name, version: '1' }),
    prepare: async () => {
      if (results instanceof Error) throw results;
      return digestAll(results);
    },
    run: async () => {
      log.push(name);
      if (++runs >= failsAt) throw new Error(`${name} broke`);
      return ms;
    },
    facts: async () => undefined as never,
    inTurns: async () => undefined as never,
    dispose: async () => undefined,
    end: () => undefined,
    hasEnded: () => false,
  };
  return { name, epsilon, process };
}

const good = { loss: [1, 2, 3], noisyLoss: [1] };

test('engines that agree take part; others are told with the reason', async () => {
  const { entrants, missing } = await enter(CASE, JOB, fake('ours', good), [
    fake('close', { loss: [1, 2, 3.0001], noisyLoss: [1.02] }),
    fake('wrong', { loss: [1, 2, 3.1], noisyLoss: [1] }),
    fake('noisy', { loss: [1, 2, 3], noisyLoss: [1.2] }),
    fake('unable', new Error('it has no gradient of this')),
  ]);
  expect(entrants.map(({ name }) => name)).toEqual(['ours', 'close']);
  expect(entrants[1]?.difference).toBeCloseTo(0.0001 / Math.sqrt(14 / 3), 6);
  expect(missing).toMatchObject([
    { peer: 'wrong', differs: true },
    { peer: 'noisy', differs: true },
    { peer: 'unable', reason: 'it has no gradient of this' },
  ]);
});

test('coarser arithmetic may differ by a few of its own roundings, not more', async () => {
  const off = (by: number) => ({ loss: [1, 2, 3 + by], noisyLoss: [1] });
  const { entrants } = await enter(CASE, JOB, fake('ours', good), [
    fake('coarse', off(0.05), { epsilon: 2 ** -7 }),
    fake('too coarse', off(0.2), { epsilon: 2 ** -7 }),
  ]);
  expect(entrants.map(({ name }) => name)).toEqual(['ours', 'coarse']);
});

test('where ours fails nobody is measured', async () => {
  const found = await enter(CASE, JOB, fake('ours', new Error('out of memory')), [fake('x', good)]);
  expect(found.entrants).toEqual([]);
  expect(found.missing).toEqual([{ work: 'w', peer: 'ours', reason: 'out of memory' }]);
});

test('engines run in turn; ratios are peer over subject', async () => {
  const log: string[] = [];
  const { entrants } = await enter(CASE, JOB, fake('a', good, { ms: 2, log }), [
    fake('b', good, { ms: 6, log }),
  ]);
  const { finished, missing } = await race('w', entrants, TIMING);
  // A turn is a sample to settle, where another engine ran before, and one that is timed; rounds go
  // back and forth.
  expect(log.slice(-10)).toEqual(['a', 'a', 'b', 'b', 'b', 'a', 'a', 'a', 'b', 'b']);
  expect(missing).toEqual([]);
  expect(ownTime('w', finished)).toEqual([{ work: 'w', subject: 'a', subjectMs: 2 }]);
  expect(rowsOf('w', finished)).toMatchObject([{ peer: 'b', ratio: 3, peerMs: 6, rounds: 3 }]);
});

test('a peer that fails on the way drops out, the others go on', async () => {
  const { entrants } = await enter(CASE, JOB, fake('a', good), [
    fake('early', good, { failsAt: 1 }),
    fake('late', good, { failsAt: 4 }),
    fake('b', good, { ms: 5 }),
  ]);
  const { finished, missing } = await race('w', entrants, TIMING);
  expect(finished.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(missing).toEqual([
    { work: 'w', peer: 'early', reason: 'early broke' },
    { work: 'w', peer: 'late', reason: 'late broke' },
  ]);
  expect(rowsOf('w', finished)[0]?.ratio).toBe(5);
});

test('a peer that would use up the time runs in the first rounds only', async () => {
  const timing = { ...TIMING, budgetMs: 1000, leastRounds: 4, mostRounds: 5 };
  const { entrants } = await enter(CASE, JOB, fake('a', good, { ms: 2 }), [
    fake('b', good, { ms: 4 }),
    fake('slow', good, { ms: 400 }),
  ]);
  const { finished } = await race('w', entrants, timing);
  expect(finished.map(({ times }) => times.length)).toEqual([5, 5, 3]);
  expect(rowsOf('w', finished)).toMatchObject([
    { peer: 'b', ratio: 2, rounds: 5 },
    { peer: 'slow', ratio: 200, rounds: 3 },
  ]);
});

test('without the subject there is no race', async () => {
  const { entrants } = await enter(CASE, JOB, fake('a', good, { failsAt: 2 }), [fake('b', good)]);
  await expect(race('w', entrants, TIMING)).rejects.toThrow('a broke');
});
