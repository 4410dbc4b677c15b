/**
 * Span corruption: T5's task on plain text. Some spans of tokens are replaced by sentinels; the model
 * writes each sentinel followed by what it stands for. Raffel et al. 2020, §3.1.4.
 */
import { hostUniform, type Key } from '../../autodiff/index.js';

export interface SpanOptions {
  /** Share of the tokens that is removed; 0.15 by default. */
  readonly share?: number;
  /** Mean length of a span; 3 by default. */
  readonly meanLength?: number;
  /** Ids of the sentinels, in order; there are no more spans than these. */
  readonly sentinels: readonly number[];
  /** Ends the target. */
  readonly end: number;
}

/** `total` as a sum of `parts` positive numbers, all ways equally likely. */
function composition(total: number, parts: number, draws: ArrayLike<number>): readonly number[] {
  // The borders are `parts − 1` different places among the total − 1 between units.
  const places = Array.from({ length: total - 1 }, (_, i) => i + 1)
    .sort((a, b) => (draws[a - 1] as number) - (draws[b - 1] as number))
    .slice(0, parts - 1)
    .sort((a, b) => a - b);
  return [...places, total].map((place, i) => place - (i === 0 ? 0 : (places[i - 1] as number)));
}

/** The source with sentinels, and the target that fills them in. */
export function corruptSpans(
  ids: readonly number[],
  key: Key,
  { share = 0.15, meanLength = 3, sentinels, end }: SpanOptions,
): { readonly source: readonly number[]; readonly target: readonly number[] } {
  const removed = Math.min(Math.max(1, Math.round(share * ids.length)), ids.length - 1);
  const kept = ids.length - removed;
  const spans = Math.min(
    Math.max(1, Math.round(removed / meanLength)),
    sentinels.length,
    removed,
    kept,
  );
  const draws = hostUniform(key, 2 * ids.length);
  const lengths = composition(removed, spans, draws.subarray(0, ids.length));
  // A unit more than is kept, which the last gap then lacks: a text need not end with a span.
  const gaps = composition(kept + 1, spans + 1, draws.subarray(ids.length));
  const source: number[] = [];
  const target: number[] = [];
  let at = 0;
  for (let span = 0; span < spans; span++) {
    const [gap, length] = [gaps[span] as number, lengths[span] as number];
    const sentinel = sentinels[span] as number;
    source.push(...ids.slice(at, at + gap), sentinel);
    target.push(sentinel, ...ids.slice(at + gap, at + gap + length));
    at += gap + length;
  }
  return { source: [...source, ...ids.slice(at), end], target: [...target, end] };
}
