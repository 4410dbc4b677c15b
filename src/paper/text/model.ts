/**
 * The encoder–decoder of the text experiments: T5 v1.1's shape in small (RMS norms, no biases), with
 * embedding and head sharing their weights as in v1.0, and with rotary positions instead of a table of
 * distances, since those run in the fused attention kernel.
 */
import {
  argmax,
  concat,
  convert,
  equal,
  gt,
  type HostArray,
  type Loss,
  mul,
  reshape,
  sliceAxis,
  type Value,
} from '../../autodiff/index.js';
import {
  type EncoderDecoderConfig,
  type EncoderDecoderWeights,
  encoderDecoder,
  softmaxCrossEntropy,
} from '../../models/index.js';

/** Ids 0 and 1 of every tokenizer that `learnTokenizer` makes. */
export const PAD_ID = 0;
export const END_ID = 1;

export const MODEL: EncoderDecoderConfig = {
  vocabulary: 2048,
  maxLength: 128,
  width: 96,
  depth: 2,
  encoderDepth: 2,
  heads: 3,
  mlpWidth: 256,
  norm: 'rmsNorm',
  normEpsilon: 1e-6,
  biases: false,
  positions: 'rotary',
  tiedHead: true,
};

/** Every linear layer of the blocks: query, key, value, output, and both of the MLP. */
export const TARGET_MODULES = ['query', 'key', 'value', 'out', 'fc1', 'fc2'] as const;

export type Weights<V = Value> = EncoderDecoderWeights<V>;

/** Token ids, padded at the end with `PAD_ID`. */
export interface Batch<A = Value> {
  /** What is read, int [b, S]. */
  readonly source: A;
  /** What is to be written, with its end, int [b, T]. */
  readonly target: A;
}

export type HostBatch = Batch<HostArray>;

/** What the decoder has seen before each token of the target: padding starts a text, as in T5. */
function before(target: Value): Value {
  const length = target.shape[1] as number;
  const start = mul(sliceAxis(target, 1, 0, 1), PAD_ID);
  return length === 1 ? start : concat([start, sliceAxis(target, 1, 0, length - 1)], 1);
}

const apply = encoderDecoder(MODEL);

/** Logits of every token of the target, [b, T, vocabulary]. */
const logitsOf = (weights: Weights, { source, target }: Batch): Value =>
  apply(weights, { source, target: before(target), sourceMask: gt(source, PAD_ID) });

/** The mean cross-entropy of the targets' tokens. */
export const textLoss: Loss<Weights, Batch> = (weights, batch) =>
  softmaxCrossEntropy(logitsOf(weights, batch), batch.target, { ignoreIndex: PAD_ID });

/** A batch whose targets are the words of classes. */
export interface Labelled<A = Value> extends Batch<A> {
  /** int [b] */
  readonly label: A;
}

/**
 * Scores by the first token: the class is the one whose word begins with the likeliest token. Numbers
 * per example; of two classes the second is the positive one.
 * @param firstTokens of the classes' words, all different.
 */
export const classScores =
  (firstTokens: readonly number[]) =>
  (weights: Weights, { source, target, label }: Labelled): Readonly<Record<string, Value>> => {
    const logits = logitsOf(weights, { source, target: sliceAxis(target, 1, 0, 1) });
    const [count, , vocabulary] = logits.shape as [number, number, number];
    const rows = reshape(logits, [count, vocabulary]);
    const ofClasses = concat(
      firstTokens.map((id) => sliceAxis(rows, 1, id, id + 1)),
      1,
    );
    const predicted = argmax(ofClasses);
    const float = (x: Value) => convert(x, 'float');
    const [yes, real] = [float(gt(predicted, 0)), float(gt(label, 0))];
    return {
      correct: float(equal(predicted, label)),
      loss: softmaxCrossEntropy(ofClasses, label, { reduction: 'none' }),
      predicted: yes,
      real,
      both: mul(yes, real),
    };
  };

/**
 * Matthews' correlation of two yes–no answers from shares of all examples: answered yes (p), truly so
 * (q), both (b). (b − p·q)/√(p(1 − p)·q(1 − q)); 0 where one answer never changes.
 */
export function matthews({
  predicted: p = 0,
  real: q = 0,
  both = 0,
}: Readonly<Record<string, number>>): number {
  const spread = p * (1 - p) * q * (1 - q);
  return spread > 0 ? (both - p * q) / Math.sqrt(spread) : 0;
}
