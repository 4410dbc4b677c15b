/**
 * What Flat-LoRA costs over LoRA: both steps in one process, in turn. LoRA is the subject and
 * Flat-LoRA the peer, so the ratio is Flat-LoRA's time over LoRA's.
 *
 * Where a process happens to lay its arrays makes one of the two a per cent or two slower for as long
 * as it lives, which no number of rounds tells from a cost. So there are several processes, in which
 * either is loaded first in turn, and what is told is the median over these.
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
import { type Launch, startEngine } from './process.js';
import { launchedRatio, median, type PairedTimes } from './statistics.js';
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
}

interface Launched extends PairedTimes {
  /** What Flat-LoRA keeps on the device between steps beyond LoRA. */
  readonly extraBytes: number;
}

/** The steps' times in a process of its own. */
async function launchOnce(
  work: string,
  [lora, flat]: readonly [Case, Case],
  launch: Launch,
  timing: Timing,
  flatFirst: boolean,
): Promise<Launched> {
  const process = startEngine(launch);
  try {
    const enter = async (name: string, { spec, tensors }: Case) => {
      await inTemporaryFiles(tensors(), (files) => process.prepare(name, { spec, tensors: files }));
      const entrant: Entrant = { name, process, runner: name, times: [], difference: 0 };
      return { entrant, bytes: (await process.facts(name)).liveBytes };
    };
    const enterFlat = () => enter('Flat-LoRA', flat);
    const early = flatFirst ? await enterFlat() : undefined;
    const plain = await enter('LoRA', lora);
    const noisy = early ?? (await enterFlat());
    const { missing } = await race(work, [plain.entrant, noisy.entrant], timing);
    if (missing[0] !== undefined) throw new Error(missing[0].reason);
    return {
      subject: plain.entrant.times,
      peer: noisy.entrant.times,
      extraBytes: noisy.bytes - plain.bytes,
    };
  } finally {
    process.end();
  }
}

/** @param name what the subject is called in the table. */
export async function measureFlatCost(
  work: string,
  pair: readonly [Case, Case],
  { name, launch }: { readonly name: string; readonly launch: Launch },
  { launches, ...timing }: FlatTiming,
): Promise<FlatCost> {
  try {
    const all: Launched[] = [];
    while (all.length < launches) {
      all.push(await launchOnce(work, pair, launch, timing, all.length % 2 === 1));
    }
    const own = {
      work,
      subject: `${name} LoRA`,
      subjectMs: median(all.flatMap(({ subject }) => subject)),
    };
    const row: Row = {
      ...own,
      ...launchedRatio(all),
      peer: `${name} Flat-LoRA`,
      peerMs: median(all.flatMap(({ peer }) => peer)),
      rounds: all.reduce((n, { peer }) => n + peer.length, 0),
      difference: 0,
    };
    const bytes = Math.max(...all.map(({ extraBytes }) => extraBytes));
    const notes = [`${work}: Flat-LoRA keeps ${bytes} bytes more than LoRA between steps.`];
    return { times: [own], rows: [row], missing: [], notes };
  } catch (cause) {
    const reason = (cause as Error).message;
    return { times: [], rows: [], missing: [{ work, peer: name, reason }], notes: [] };
  }
}
