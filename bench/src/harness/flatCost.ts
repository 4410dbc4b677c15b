/**
 * What Flat-LoRA costs over LoRA: both steps in one process, in turn. LoRA is the subject and
 * Flat-LoRA the peer, so the ratio is Flat-LoRA's time over LoRA's.
 *
 * Where a process happens to lay its arrays makes one of the two a per cent or two slower for as long
 * as it lives, which no number of rounds tells from a cost. So there are several processes, in which
 * either is loaded first in turn, and what is told is the median over these.
 *
 * On a machine that others use too, steps of half a second spread over a fifth of their time, and no
 * affordable number of them tells a hundredth. What disturbs for longer than some ten milliseconds disturbs both
 * alike where the two take turns a few kernels at a time: this ratio is told beside that of whole steps.
 */
import type { Case } from '../works/work.js';
import {
  type Entrant,
  type Missing,
  type OwnTime,
  type Row,
  race,
  type Timing,
} from './compare.js';
import type { Job, PairedTimes } from './job.js';
import { type Launch, startEngine } from './process.js';
import { launchedRatio, median } from './statistics.js';
import { inTemporaryFiles } from './tensors.js';

export interface FlatCost {
  readonly times: readonly OwnTime[];
  readonly rows: readonly Row[];
  readonly missing: readonly Missing[];
  /** Tells the bytes that stay alive between steps beyond those of LoRA. */
  readonly notes: readonly string[];
}

export interface FlatTiming extends Timing {
  /** Processes; nine are the least that give an interval inside of their extremes. */
  readonly launches: number;
  /** Rounds in which the two take turns within a step, each time that they are loaded for it. */
  readonly turnRounds: number;
}

interface Launched {
  readonly steps: PairedTimes;
  /** Times of steps that took turns within, by loading; or why there are none. */
  readonly turns: readonly PairedTimes[] | string;
  /** What Flat-LoRA keeps on the device between steps beyond LoRA. */
  readonly extraBytes: number;
}

/** The steps' times in a process of its own. */
async function launchOnce(
  work: string,
  [lora, flat]: readonly [Case, Case],
  launch: Launch,
  { turnRounds, ...timing }: FlatTiming,
  flatFirst: boolean,
): Promise<Launched> {
  const process = startEngine(launch);
  const withJob = <T>({ spec, tensors }: Case, use: (job: Job) => Promise<T>): Promise<T> =>
    inTemporaryFiles(tensors(), (files) => use({ spec, tensors: files }));
  try {
    const enter = async (name: string, one: Case) => {
      await withJob(one, (job) => process.prepare(name, job));
      const entrant: Entrant = { name, process, runner: name, times: [], difference: 0 };
      return { entrant, bytes: (await process.facts(name)).liveBytes };
    };
    const enterFlat = () => enter('Flat-LoRA', flat);
    const early = flatFirst ? await enterFlat() : undefined;
    const plain = await enter('LoRA', lora);
    const noisy = early ?? (await enterFlat());
    const { missing } = await race(work, [plain.entrant, noisy.entrant], timing);
    if (missing[0] !== undefined) throw new Error(missing[0].reason);
    const turns = await withJob(lora, (first) =>
      withJob(flat, async (second) => {
        const inTurns = () => process.inTurns([first, second], turnRounds);
        return [await inTurns(), await inTurns()];
      }),
    ).catch((error: Error) => error.message);
    return {
      steps: { subject: plain.entrant.times, peer: noisy.entrant.times },
      turns,
      extraBytes: noisy.bytes - plain.bytes,
    };
  } finally {
    process.end();
  }
}

/** What all processes found of a work, with the subject's own time. */
function rowOf(work: string, name: string, all: readonly PairedTimes[]): Row {
  return {
    work,
    subject: `${name} LoRA`,
    subjectMs: median(all.flatMap(({ subject }) => subject)),
    ...launchedRatio(all),
    peer: `${name} Flat-LoRA`,
    peerMs: median(all.flatMap(({ peer }) => peer)),
    rounds: all.reduce((n, { peer }) => n + peer.length, 0),
    difference: 0,
  };
}

/** @param name what the subject is called in the table. */
export async function measureFlatCost(
  work: string,
  pair: readonly [Case, Case],
  { name, launch }: { readonly name: string; readonly launch: Launch },
  timing: FlatTiming,
): Promise<FlatCost> {
  try {
    const all: Launched[] = [];
    while (all.length < timing.launches) {
      all.push(await launchOnce(work, pair, launch, timing, all.length % 2 === 1));
    }
    const inTurns = `${work}/turns`;
    const turns = all.flatMap((one) => (typeof one.turns === 'string' ? [] : one.turns));
    const reason = all.map((one) => one.turns).find((times) => typeof times === 'string');
    const steps = all.map((one) => one.steps);
    const rows = [
      rowOf(work, name, steps),
      ...(turns.length === 0 ? [] : [rowOf(inTurns, name, turns)]),
    ];
    const bytes = Math.max(...all.map(({ extraBytes }) => extraBytes));
    const notes = [`${work}: Flat-LoRA keeps ${bytes} bytes more than LoRA between steps.`];
    const missing = reason === undefined ? [] : [{ work: inTurns, peer: name, reason }];
    return { times: rows, rows, missing, notes };
  } catch (cause) {
    const reason = (cause as Error).message;
    return { times: [], rows: [], missing: [{ work, peer: name, reason }], notes: [] };
  }
}
