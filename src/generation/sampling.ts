/**
 * How the next token is chosen from its logits: pure functions of logits, place and key.
 *
 * Holtzman et al., "The curious case of neural text degeneration", ICLR 2020 (top-p); Fan, Lewis,
 * Dauphin, "Hierarchical neural story generation", ACL 2018 (top-k).
 */
import { FlatloraError, foldIn, hostUniform, type Key } from '../autodiff/index.js';

/** Where a token is to stand: text number `row` of a batch, token number `position` of that text. */
export interface Place {
  readonly row: number;
  readonly position: number;
}

/** From logits, one for each id, to an id. */
export type Sampler = (logits: ArrayLike<number>, place: Place) => number;

/** The id with the greatest logit; the first of several. */
export const greedy: Sampler = (logits) => {
  let best = 0;
  for (let id = 1; id < logits.length; id++) {
    if ((logits[id] as number) > (logits[best] as number)) best = id;
  }
  return best;
};

export interface SamplingOptions {
  /** τ > 0: logits are divided by it; 1 by default, the model's own distribution. */
  readonly temperature?: number;
  /** Only the k most probable ids may come; all by default. */
  readonly topK?: number;
  /** Only the fewest ids whose probabilities sum up to p may come, 0 < p ≤ 1; 1 by default, all. */
  readonly topP?: number;
}

/** An id with its probability. */
export interface Choice {
  readonly id: number;
  readonly probability: number;
}

/**
 * The ids that may come, most probable first, with their probabilities: softmax(logits/τ), of which
 * the k first, of which the first that sum up to p; what is left is scaled to sum 1. The order of
 * the two cuts is that of Hugging Face's `generate`.
 */
export function choices(
  logits: ArrayLike<number>,
  { temperature = 1, topK = logits.length, topP = 1 }: SamplingOptions,
): readonly Choice[] {
  const greatest = logits[greedy(logits, { row: 0, position: 0 })] as number;
  const likely = Array.from(logits, (z, id) => ({
    id,
    probability: Math.exp((z - greatest) / temperature),
  }))
    .sort((a, b) => (logits[b.id] as number) - (logits[a.id] as number) || a.id - b.id)
    .slice(0, topK);
  const sum = total(likely);
  let before = 0;
  const kept = likely.filter(({ probability }) => {
    const keep = before < topP * sum || before === 0;
    before += probability;
    return keep;
  });
  const rest = total(kept);
  return kept.map(({ id, probability }) => ({ id, probability: probability / rest }));
}

const total = (list: readonly Choice[]): number =>
  list.reduce((sum, { probability }) => sum + probability, 0);

/**
 * Draws ids at random. The number drawn at a place is that of the key number `row`, then `position`,
 * so a text is the same however its tokens are asked for.
 * @throws FlatloraError 'argument' for options out of range.
 */
export function sampled(key: Key, options: SamplingOptions = {}): Sampler {
  const { temperature = 1, topK = 1, topP = 1 } = options;
  const wrong = !(temperature > 0 && temperature < Number.POSITIVE_INFINITY)
    ? `temperature is ${temperature}, expected a number > 0 (or the sampler "greedy")`
    : !(Number.isInteger(topK) && topK >= 1)
      ? `topK is ${topK}, expected a positive integer`
      : !(topP > 0 && topP <= 1)
        ? `topP is ${topP}, expected 0 < topP ≤ 1`
        : undefined;
  if (wrong !== undefined) throw new FlatloraError('argument', `sampled: ${wrong}`);
  return (logits, { row, position }) => {
    const list = choices(logits, options);
    let left = hostUniform(foldIn(foldIn(key, row), position), 1)[0] as number;
    for (const { id, probability } of list) {
      left -= probability;
      if (left < 0) return id;
    }
    // Rounding may leave a rest above the sum.
    return (list.at(-1) as Choice).id;
  };
}
