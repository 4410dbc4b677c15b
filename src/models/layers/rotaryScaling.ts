/**
 * How fast each pair of a head turns under rotary positions, and how models that were trained on short
 * texts are made to read longer ones: by turning some pairs more slowly.
 */
import { FlatloraError, range } from '../../autodiff/index.js';

/** As `rope_scaling` of Hugging Face's configurations describes it. */
export type RotaryScaling =
  /** All pairs turn slower by the factor. Chen et al., "Position interpolation", 2023. */
  | { readonly kind: 'linear'; readonly factor: number }
  /** Llama 3.1: slow pairs are slowed, fast ones are not, those between in between. */
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      /** A pair that turns fewer times than this within the original length is slowed in full. */
      readonly lowFrequencyFactor: number;
      /** A pair that turns more often than this is left as it is. */
      readonly highFrequencyFactor: number;
      readonly originalLength: number;
    }
  /** Peng et al., "YaRN", 2023, §3.2 to 3.4, with its temperature on the scores. */
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly originalLength: number;
      /** Turns within the original length between which the pairs pass over; 32 and 1 there. */
      readonly betaFast: number;
      readonly betaSlow: number;
      /** On queries and keys alike; 0.1 ln(factor) + 1 in the paper. */
      readonly attentionFactor: number;
    };

export interface RotarySpeeds {
  /** Radians per token of each pair, [d/2]. */
  readonly speeds: readonly number[];
  /** What cosines and sines are multiplied by. */
  readonly factor: number;
}

/** Between 0 and 1, straight from one end to the other. */
const ramp = (x: number, from: number, to: number): number =>
  Math.min(1, Math.max(0, (x - from) / (to === from ? 1e-3 : to - from)));

/** θ^(−2i/d) of each pair, scaled. @throws FlatloraError for a factor below 1. */
export function rotarySpeeds(d: number, theta: number, scaling?: RotaryScaling): RotarySpeeds {
  const plain = range(d / 2).map((i) => theta ** (-(2 * i) / d));
  if (scaling === undefined) return { speeds: plain, factor: 1 };
  const { factor } = scaling;
  if (!(factor >= 1)) {
    throw new FlatloraError(
      'argument',
      `rotaryScaling: factor is ${factor}, expected a number from 1`,
    );
  }
  switch (scaling.kind) {
    case 'linear':
      return { speeds: plain.map((speed) => speed / factor), factor: 1 };
    case 'llama3': {
      const { lowFrequencyFactor, highFrequencyFactor, originalLength } = scaling;
      const speeds = plain.map((speed) => {
        const turns = (originalLength * speed) / (2 * Math.PI);
        const kept = ramp(turns, lowFrequencyFactor, highFrequencyFactor);
        return kept * speed + ((1 - kept) * speed) / factor;
      });
      return { speeds, factor: 1 };
    }
    case 'yarn': {
      const { originalLength, betaFast, betaSlow, attentionFactor } = scaling;
      /** The pair, as a fraction, that turns so many times within the original length. */
      const pairOf = (turns: number): number =>
        (d * Math.log(originalLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const [low, high] = [
        Math.max(Math.floor(pairOf(betaFast)), 0),
        Math.min(Math.ceil(pairOf(betaSlow)), d - 1),
      ];
      const speeds = plain.map((speed, i) => {
        const slowed = ramp(i, low, high);
        return (slowed * speed) / factor + (1 - slowed) * speed;
      });
      return { speeds, factor: attentionFactor };
    }
  }
}
