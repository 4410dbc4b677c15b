/**
 * What Flat-LoRA costs over LoRA: both steps in one process, in turn. LoRA is the subject and
 * Flat-LoRA the peer, so the ratio is Flat-LoRA's time over LoRA's.
 *
 * Where a process happens to lay its arrays makes one of the two a per cent or two slower for as long
 * as it lives, which no number of rounds tells from a cost. So there are several processes, in which
 * either is loaded first in turn, and what is told is the median over these.
 *
 * On a machine that others use too, steps of half a second spread over a fifth of their time, and no
 * affordable number of them tells a hundredth. Kernels are short enough to run undisturbed now and
 * then: so the sum over kernels of their fastest runs is told beside the steps.
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
import { type EngineProcess, type Launch, startEngine } from './process.js';
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
  /** How often each step's kernels are timed in a process; a time is of a few runs. */
  readonly kernelRounds: number;
}

interface Launched {
  readonly steps: PairedTimes;
  /** One time of each: the sum over kernels of the fastest run; or why there is none. */
  readonly kernels: PairedTimes | string;
  /** What Flat-LoRA keeps on the device between steps beyond LoRA. */
  readonly extraBytes: number;
}

/** Both steps' kernels timed in turn. */
async function kernelSums(process: EngineProcess, rounds: number): Promise<PairedTimes> {
  let [lora, flat]: [readonly number[], readonly number[]] = [[], []];
  const faster = (known: readonly number[], times: readonly number[]) =>
    times.map((ms, i) => Math.min(ms, known[i] ?? ms));
  for (let round = 0; round < rounds; round++) {
    lora = faster(lora, await process.kernels('LoRA'));
    flat = faster(flat, await process.kernels('Flat-LoRA'));
  }
  const sum = (times: readonly number[]) => times.reduce((total, ms) => total + ms, 0);
  return { subject: [sum(lora)], peer: [sum(flat)] };
}

/** The steps' times in a process of its own. */
async function launchOnce(
  work: string,
  [lora, flat]: readonly [Case, Case],
  launch: Launch,
  { kernelRounds, ...timing }: FlatTiming,
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
    // Racing ends the runners.
    const kernels = await kernelSums(process, kernelRounds).catch((error: Error) => error.message);
    const { missing } = await race(work, [plain.entrant, noisy.entrant], timing);
    if (missing[0] !== undefined) throw new Error(missing[0].reason);
    return {
      steps: { subject: plain.entrant.times, peer: noisy.entrant.times },
      kernels,
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
    const kernels = all.flatMap((one) => (typeof one.kernels === 'string' ? [] : [one.kernels]));
    const untimed = all.map((one) => one.kernels).find((sums) => typeof sums === 'string');
    const ofKernels = `${work}/kernels`;
    const rows = [
      rowOf(
        work,
        name,
        all.map(({ steps }) => steps),
      ),
      ...(kernels.length === 0 ? [] : [rowOf(ofKernels, name, kernels)]),
    ];
    const bytes = Math.max(...all.map(({ extraBytes }) => extraBytes));
    const notes = [`${work}: Flat-LoRA keeps ${bytes} bytes more than LoRA between steps.`];
    const missing = untimed === undefined ? [] : [{ work: ofKernels, peer: name, reason: untimed }];
    return { times: rows, rows, missing, notes };
  } catch (cause) {
    const reason = (cause as Error).message;
    return { times: [], rows: [], missing: [{ work, peer: name, reason }], notes: [] };
  }
}
