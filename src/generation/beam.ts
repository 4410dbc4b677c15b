/**
 * Beam search: several texts at once, of which only the most probable go on.
 *
 * Each step looks at all continuations of the `beams` texts that are alive, by the sum of their tokens'
 * log probabilities. Those that end are finished, scored by sum/length^lengthPenalty; the best others go
 * on. The search ends when no text that is alive could still beat the worst finished one, judged as
 * Hugging Face's `BeamSearchScorer` does, so that the same settings give the same texts there.
 */
import { FlatloraError } from '../autodiff/index.js';
import { release } from '../kernels/index.js';
import { checkPrompts, placed } from './placed.js';
import type { DecoderPrograms, Expected } from './programs.js';

export interface BeamOptions {
  /** Texts that are alive at once; 4 by default. */
  readonly beams?: number;
  /** The most tokens to write; as many as the programs' `length` leaves by default. */
  readonly maxTokens?: number;
  /** Ids that end a text; they are not part of what is returned. */
  readonly stop?: readonly number[];
  /** Exponent of the length in a finished text's score: above 0 favours long texts; 1 by default. */
  readonly lengthPenalty?: number;
  /** Whether the search ends as soon as there are `beams` finished texts; off by default. */
  readonly earlyStopping?: boolean;
  /** How many texts are returned, the best ones; 1 by default, at most `beams`. */
  readonly returned?: number;
}

/** A text that is done. */
export interface Hypothesis {
  readonly tokens: readonly number[];
  /** Sum of log probabilities over length^lengthPenalty. */
  readonly score: number;
}

interface Beam {
  readonly tokens: readonly number[];
  readonly sum: number;
}

/** log softmax of some logits, in double precision. */
export function logProbabilities(logits: ArrayLike<number>): Float64Array {
  let greatest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) greatest = Math.max(greatest, logits[i] as number);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - greatest);
  const normaliser = greatest + Math.log(sum);
  return Float64Array.from(logits, (z) => z - normaliser);
}

interface Candidate {
  /** Which beam it goes on from. */
  readonly from: number;
  readonly token: number;
  readonly sum: number;
}

/** The `count` best continuations of all beams; of equal ones the earlier beam, then the smaller id. */
function bestContinuations(
  beams: readonly Beam[],
  scores: readonly Float64Array[],
  count: number,
): readonly Candidate[] {
  const best: Candidate[] = [];
  for (const [from, beam] of beams.entries()) {
    const own = scores[from] as Float64Array;
    for (let token = 0; token < own.length; token++) {
      const sum = beam.sum + (own[token] as number);
      if (best.length === count && sum <= (best[count - 1] as Candidate).sum) continue;
      let at = best.length;
      while (at > 0 && (best[at - 1] as Candidate).sum < sum) at--;
      best.splice(at, 0, { from, token, sum });
      if (best.length > count) best.pop();
    }
  }
  return best;
}

/** Adds a text; of more than `beams` the worst goes. */
function withHypothesis(
  list: readonly Hypothesis[],
  hypothesis: Hypothesis,
  beams: number,
): readonly Hypothesis[] {
  return [...list, hypothesis].sort((a, b) => b.score - a.score).slice(0, beams);
}

const checked = (options: BeamOptions) => {
  const { beams = 4, returned = 1, lengthPenalty = 1 } = options;
  const wrong =
    !Number.isInteger(beams) || beams < 1
      ? `beams is ${beams}, expected a positive integer`
      : !Number.isInteger(returned) || returned < 1 || returned > beams
        ? `returned is ${returned}, expected 1 to ${beams}`
        : Number.isFinite(lengthPenalty)
          ? undefined
          : `lengthPenalty is ${lengthPenalty}, expected a number`;
  if (wrong !== undefined) throw new FlatloraError('argument', `beamSearch: ${wrong}`);
  return { beams, returned, lengthPenalty };
};

/**
 * The best continuations of a prompt.
 * @param weights of the plain model, on the host or on the device; left alone.
 * @throws FlatloraError 'argument' for options out of range or a prompt that is too long.
 */
export async function beamSearch(
  programs: DecoderPrograms,
  weights: unknown,
  prompt: readonly number[],
  options: BeamOptions = {},
): Promise<readonly Hypothesis[]> {
  const { beams, returned, lengthPenalty } = checked(options);
  const { maxTokens, stop = [], earlyStopping = false } = options;
  const { backend, length, before, longestPrompt } = programs;
  checkPrompts([prompt], longestPrompt);
  const room = Math.min(maxTokens ?? length, length + 1 - before(prompt));
  const scoreOf = (sum: number, tokens: number) => sum / tokens ** lengthPenalty;

  const { onDevice, ours } = placed(backend, weights);
  let alive: readonly Beam[] = [{ tokens: [], sum: 0 }];
  let finished: readonly Hypothesis[] = [];
  let expected: Expected | undefined;
  try {
    expected = await programs.read(onDevice, [prompt]);
    for (let written = 1; written <= room; written++) {
      const scores = expected.logits.map(logProbabilities);
      const going: Beam[] = [];
      const rows: number[] = [];
      const candidates = bestContinuations(alive, scores, 2 * beams);
      for (const [rank, { from, token, sum }] of candidates.entries()) {
        const tokens = (alive[from] as Beam).tokens;
        if (stop.includes(token)) {
          // An end that is not among the best is no end that beam search would have come to.
          if (rank < beams) {
            finished = withHypothesis(finished, { tokens, score: scoreOf(sum, written) }, beams);
          }
          continue;
        }
        going.push({ tokens: [...tokens, token], sum });
        rows.push(from);
        if (going.length === beams) break;
      }
      const best = candidates[0] as Candidate;
      const worst = finished.at(-1)?.score ?? Number.NEGATIVE_INFINITY;
      const full = finished.length >= beams;
      const done = full && (earlyStopping || worst >= scoreOf(best.sum, written));
      alive = going;
      if (done || written === room || going.length === 0) {
        if (!done) {
          for (const { tokens, sum } of going) {
            finished = withHypothesis(finished, { tokens, score: scoreOf(sum, written) }, beams);
          }
        }
        break;
      }
      const { cache } = expected;
      expected = undefined;
      const ordered = await programs.reorder(cache, rows);
      expected = await programs.step(
        onDevice,
        going.map(({ tokens }) => tokens.at(-1) as number),
        going.map(() => before(prompt) + written - 1),
        ordered,
      );
    }
    return finished.slice(0, returned);
  } finally {
    release(backend, [ours, expected?.cache ?? []]);
  }
}
