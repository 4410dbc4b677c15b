/**
 * What Flat-LoRA costs over LoRA: both steps in one process, in turn. LoRA is the subject and
 * Flat-LoRA the peer, so the ratio is Flat-LoRA's time over LoRA's.
 */
import type { Case } from '../works/work.js';
import {
  type Contestant,
  type Entrant,
  type Missing,
  type OwnTime,
  ownTime,
  type Row,
  race,
  rowsOf,
  type Timing,
} from './compare.js';
import { inTemporaryFiles } from './tensors.js';

export interface FlatCost {
  readonly times: readonly OwnTime[];
  readonly rows: readonly Row[];
  readonly missing: readonly Missing[];
  /** Tells the bytes that stay alive between steps beyond those of LoRA. */
  readonly notes: readonly string[];
}

export async function measureFlatCost(
  work: string,
  [lora, flat]: readonly [Case, Case],
  subject: Contestant,
  timing: Timing,
): Promise<FlatCost> {
  const entrants: Entrant[] = [];
  const bytes: number[] = [];
  try {
    for (const [name, { spec, tensors }] of [
      ['LoRA', lora],
      ['Flat-LoRA', flat],
    ] as const) {
      const runner = `${work}/${name}`;
      await inTemporaryFiles(tensors(), (files) =>
        subject.process.prepare(runner, { spec, tensors: files }),
      );
      bytes.push((await subject.process.facts(runner)).liveBytes);
      entrants.push({
        name: `${subject.name} ${name}`,
        process: subject.process,
        runner,
        times: [],
        difference: 0,
      });
    }
    const { finished, missing } = await race(work, entrants, timing);
    const [plain = 0, noisy = 0] = bytes;
    const notes = [`${work}: Flat-LoRA keeps ${noisy - plain} bytes more than LoRA between steps.`];
    return { times: ownTime(work, finished), rows: rowsOf(work, finished), missing, notes };
  } catch (cause) {
    const reason = (cause as Error).message;
    return { times: [], rows: [], missing: [{ work, peer: subject.name, reason }], notes: [] };
  }
}
