/**
 * One case: every engine prepares it and must come to our results; then the engines run in turn,
 * round after round, and ratios are taken within rounds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Case } from '../works/work.js';
import { worstDifference } from './digest.js';
import type { Job, Spec } from './job.js';
import type { EngineProcess } from './process.js';
import { median, pairedRatio, type Ratio, repeatsFor, roundsFor } from './statistics.js';

/** A running engine that takes part. */
export interface Contestant {
  readonly name: string;
  /** See `EngineInfo`. */
  readonly epsilon?: number | undefined;
  readonly process: EngineProcess;
}

/** How long the subject takes, alone or next to its peers. */
export interface OwnTime {
  readonly work: string;
  readonly subject: string;
  /** Median milliseconds. */
  readonly subjectMs: number;
}

/** A line of the result: how much longer the peer takes than the subject; above 1 the subject is faster. */
export interface Row extends OwnTime, Ratio {
  readonly peer: string;
  /** Median milliseconds. */
  readonly peerMs: number;
  readonly rounds: number;
  /** Greatest difference between the peer's results and ours, as a share of their size. */
  readonly difference: number;
}

/** An engine that did not do a work, and why. */
export interface Missing {
  readonly work: string;
  readonly peer: string;
  readonly reason: string;
  /** Whether the reason is that its results are not ours. */
  readonly differs?: boolean;
}

export interface Timing {
  /** Shortest sample; shorter works are repeated within one. */
  readonly sampleMs: number;
  /** Each engine runs at least this long before it is timed. */
  readonly warmUpMs: number;
  /** Time for all rounds of a case. */
  readonly budgetMs: number;
  readonly leastRounds: number;
  readonly mostRounds: number;
}

/**
 * Between two engines' turns, until the last one's waiting threads sleep: OpenBLAS's spin for 2²⁶
 * cycles, about 20 ms.
 */
const PAUSE_MS = 40;

/** Engines whose samples are shorter run one sample before each that is timed. */
const SETTLED_MS = 1000;

/** Engines may differ by more than rounding where each draws noise of its own. */
const NOISY_TOLERANCE = 0.05;

/** Roundings of the coarsest number that a result may be off by. */
const ROUNDINGS = 8;

export interface Entrant extends Contestant {
  /** The job's key in its process. */
  readonly runner: string;
  readonly times: number[];
  readonly difference: number;
}

/** Prepares a job in every process; those that fail or come to other results are told with the reason. */
export async function enter(
  { work, tolerance }: Pick<Case, 'work' | 'tolerance'>,
  job: Job<Spec>,
  subject: Contestant,
  peers: readonly Contestant[],
): Promise<{ readonly entrants: readonly Entrant[]; readonly missing: readonly Missing[] }> {
  const missing: Missing[] = [];
  const own = await subject.process.prepare(work, job).catch((error: Error) => error);
  if (own instanceof Error) {
    return { entrants: [], missing: [{ work, peer: subject.name, reason: own.message }] };
  }
  const entrants: Entrant[] = [{ ...subject, runner: work, times: [], difference: 0 }];
  for (const peer of peers) {
    const results = await peer.process.prepare(work, job).catch((error: Error) => error);
    if (results instanceof Error) {
      missing.push({ work, peer: peer.name, reason: results.message });
      continue;
    }
    const least = ROUNDINGS * (peer.epsilon ?? 0);
    const allowed = (name: string) =>
      Math.max(least, name.startsWith('noisy') ? NOISY_TOLERANCE : tolerance);
    const wrong = Object.keys(own)
      .map((name) => worstDifference({ [name]: own[name] as never }, results))
      .find(({ name, difference }) => difference > allowed(name));
    if (wrong !== undefined) {
      missing.push({
        work,
        peer: peer.name,
        reason: `its ${wrong.name} differs from ours by ${wrong.difference.toPrecision(2)} of its size (allowed ${allowed(wrong.name)})`,
        differs: true,
      });
      await peer.process.dispose(work).catch(() => undefined);
      continue;
    }
    const strict = Object.fromEntries(
      Object.entries(own).filter(([name]) => !name.startsWith('noisy')),
    );
    const { difference } = worstDifference(strict, results);
    entrants.push({ ...peer, runner: work, times: [], difference });
  }
  return { entrants, missing };
}

/** Runs an engine until it is warm: how often a sample repeats the job, and the milliseconds of one. */
async function warmUp(
  { process, runner }: Entrant,
  { sampleMs, warmUpMs }: Timing,
): Promise<{ readonly repeats: number; readonly sampleMs: number }> {
  const estimate = await process.run(runner, 1);
  const again = Math.min(2000, Math.floor(warmUpMs / Math.max(estimate, 1e-3)) - 1);
  const warm = again >= 1 ? await process.run(runner, again) : estimate;
  const repeats = repeatsFor(warm, sampleMs);
  return { repeats, sampleMs: repeats * warm };
}

/** An entrant that still takes part: repeats of the job in a sample, and what that takes. */
interface Runner {
  readonly entrant: Entrant;
  readonly repeats: number;
  readonly sampleMs: number;
}

/** Rounds of an engine that is too slow to run in all of them. */
const SLOW_ROUNDS = 3;

/** Rounds for everybody, and for those whose samples would use up the others' time. */
function roundsOf(
  runners: readonly Runner[],
  { budgetMs, leastRounds: least, mostRounds: most }: Timing,
): { readonly all: number; readonly of: (runner: Runner) => number } {
  const isSlow = ({ sampleMs }: Runner) => sampleMs * least > budgetMs / 2;
  const [subject, ...peers] = runners;
  const quick = [subject, ...peers.filter((runner) => !isSlow(runner))];
  const roundMs = quick.reduce((sum, runner) => sum + 2 * (runner?.sampleMs ?? 0) + PAUSE_MS, 0);
  const all = roundsFor(roundMs, { budgetMs, least, most });
  return {
    all,
    of: (runner) => (runner === subject || !isSlow(runner) ? all : Math.min(all, SLOW_ROUNDS)),
  };
}

/**
 * Runs the entrants in turn and fills their times. An engine that fails drops out and is told.
 * @throws Error when it is the first, against which all others are measured.
 */
export async function race(
  work: string,
  entrants: readonly Entrant[],
  timing: Timing,
): Promise<{ readonly finished: readonly Entrant[]; readonly missing: readonly Missing[] }> {
  const missing: Missing[] = [];
  /** What `act` gives, or undefined when the engine has failed. */
  const orDrop = async <T>(entrant: Entrant, act: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await act();
    } catch (cause) {
      if (entrant === entrants[0]) throw cause;
      missing.push({ work, peer: entrant.name, reason: (cause as Error).message });
      return undefined;
    }
  };
  let runners: readonly Runner[] = [];
  for (const entrant of entrants) {
    const warm = await orDrop(entrant, () => warmUp(entrant, timing));
    if (warm !== undefined) runners = [...runners, { entrant, ...warm }];
  }
  const rounds = roundsOf(runners, timing);
  let last: EngineProcess | undefined;
  for (let round = 0; round < rounds.all; round++) {
    const turns = runners.filter((one) => round < rounds.of(one));
    // Back and forth, so that nobody always runs behind the same neighbour.
    for (const runner of round % 2 === 0 ? turns : turns.toReversed()) {
      const { entrant, repeats, sampleMs } = runner;
      const isFresh = entrant.process !== last;
      last = entrant.process;
      if (isFresh) await sleep(PAUSE_MS);
      const ms = await orDrop(entrant, async () => {
        // Threads that slept may first share a core: what counts is the speed of a loop that runs.
        if (isFresh && sampleMs < SETTLED_MS) await entrant.process.run(entrant.runner, repeats);
        return entrant.process.run(entrant.runner, repeats);
      });
      if (ms === undefined) runners = runners.filter((other) => other !== runner);
      else entrant.times.push(ms);
    }
  }
  const finished = runners.map(({ entrant }) => entrant);
  for (const { process, runner } of finished) await process.dispose(runner).catch(() => undefined);
  return { finished, missing };
}

/** The first entrant's own time. */
export const ownTime = (work: string, [subject]: readonly Entrant[]): readonly OwnTime[] =>
  subject === undefined ? [] : [{ work, subject: subject.name, subjectMs: median(subject.times) }];

/** Every peer's row against the first entrant. */
export function rowsOf(work: string, [subject, ...peers]: readonly Entrant[]): readonly Row[] {
  if (subject === undefined) return [];
  return peers.map((peer) => ({
    work,
    subject: subject.name,
    peer: peer.name,
    ...pairedRatio(subject.times, peer.times),
    subjectMs: median(subject.times),
    peerMs: median(peer.times),
    rounds: Math.min(subject.times.length, peer.times.length),
    difference: peer.difference,
  }));
}
