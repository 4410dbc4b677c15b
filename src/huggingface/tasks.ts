/**
 * What models are trained and used for, one function a task: the outputs and the loss that Hugging
 * Face's classes compute, on batches with their names.
 */
import {
  concat,
  equal,
  FlatloraError,
  full,
  type Loss,
  select,
  sliceAxis,
  type Value,
} from '../autodiff/index.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  type ContrastiveConfig,
  type ContrastiveInputs,
  type ContrastiveWeights,
  causalDecoder,
  contrastive,
  contrastiveLoss,
  type EncoderDecoderConfig,
  type EncoderDecoderWeights,
  encoderDecoder,
  softmaxCrossEntropy,
  type TextEncoderConfig,
  type TextEncoderWeights,
  type TextTowerConfig,
  type TextTowerWeights,
  textEncoder,
  textTower,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../models/index.js';

/** What a task offers for a model of weights `W` and batches `X`. */
export interface TaskModel<W, X> {
  /** What the model says: logits, or embeddings. A key turns dropout on. */
  readonly outputs: (weights: W, batch: X, key?: Value) => Value;
  /** The mean over what is asked; dropout is on in training. */
  readonly loss: Loss<W, X>;
}

/** The loss of outputs, with the key that training gives. */
const lossOf =
  <W, X>(
    outputs: TaskModel<W, X>['outputs'],
    score: (outputs: Value, batch: X) => Value,
  ): Loss<W, X> =>
  (weights, batch, { sampleKey, training }) =>
    score(outputs(weights, batch, training ? sampleKey : undefined), batch);

/** What is asked of classifiers. */
const crossEntropy = (logits: Value, { labels }: { readonly labels: Value }): Value =>
  softmaxCrossEntropy(logits, labels);

/** Texts to be gone on with. */
export interface CausalLmBatch<A = Value> {
  /** int [b, T] */
  readonly tokens: A;
  /** int [b, T]: the tokens themselves, −100 where nothing is asked (the prompt, padding). */
  readonly labels: A;
  /** bool [b, T], false at padding. */
  readonly mask?: A;
}

/** Next-token prediction: the label at t + 1 is asked of the logits at t. Logits [b, T, vocabulary]. */
export function causalLm(
  config: CausalDecoderConfig,
): TaskModel<CausalDecoderWeights, CausalLmBatch> {
  const apply = causalDecoder(config);
  const outputs: TaskModel<CausalDecoderWeights, CausalLmBatch>['outputs'] = (
    weights,
    { tokens, mask },
    key,
  ) => apply(weights, tokens, { mask, key });
  return {
    outputs,
    loss: lossOf(outputs, (logits, { labels }) => {
      const length = labels.shape[1] as number;
      return softmaxCrossEntropy(
        sliceAxis(logits, 1, 0, length - 1),
        sliceAxis(labels, 1, 1, length),
      );
    }),
  };
}

/** Texts to be turned into others. */
export interface Seq2SeqBatch<A = Value> {
  /** int [b, S] */
  readonly source: A;
  /** bool [b, S], false at padding. */
  readonly sourceMask?: A;
  /** int [b, T]: what is to be written, −100 behind its end. */
  readonly labels: A;
}

export interface Seq2SeqConfig extends EncoderDecoderConfig {
  /** What stands before the first written token. */
  readonly startToken: number;
  /** What stands for −100 where labels are read. */
  readonly padToken: number;
}

/** What the decoder has read before each label: the start, then the labels so far. */
export function shiftedRight(
  labels: Value,
  { startToken, padToken }: Pick<Seq2SeqConfig, 'startToken' | 'padToken'>,
): Value {
  const [batch, length] = labels.shape as readonly [number, number];
  const read = select(equal(labels, -100), padToken, labels);
  const start = full([batch, 1], startToken, 'int');
  return length === 1 ? start : concat([start, sliceAxis(read, 1, 0, length - 1)], 1);
}

/** The decoder writes the labels, having read the source. Logits [b, T, vocabulary]. */
export function seq2seqLm(config: Seq2SeqConfig): TaskModel<EncoderDecoderWeights, Seq2SeqBatch> {
  const apply = encoderDecoder(config);
  const outputs: TaskModel<EncoderDecoderWeights, Seq2SeqBatch>['outputs'] = (
    weights,
    { source, sourceMask, labels },
    key,
  ) => apply(weights, { source, sourceMask, target: shiftedRight(labels, config) }, { key });
  return { outputs, loss: lossOf(outputs, crossEntropy) };
}

/** Images with their classes. */
export interface ImageBatch<A = Value> {
  /** float [b, height, width, channels] */
  readonly images: A;
  /** int [b] */
  readonly labels: A;
}

/** Logits [b, classes]. */
export function imageClassification(
  config: VisionTransformerConfig,
): TaskModel<VisionTransformerWeights, ImageBatch> {
  const apply = visionTransformer(config);
  const outputs: TaskModel<VisionTransformerWeights, ImageBatch>['outputs'] = (w, x, key) =>
    apply(w, x.images, { key });
  return { outputs, loss: lossOf(outputs, crossEntropy) };
}

/** Texts with their classes. */
export interface TextBatch<A = Value> {
  /** int [b, T] */
  readonly tokens: A;
  /** bool [b, T], false at padding. */
  readonly mask?: A;
  /** int [b, T]: first or second segment; all 0 by default. */
  readonly types?: A;
  /** int [b] */
  readonly labels: A;
}

/** Logits [b, classes]. */
export function textClassification(
  config: TextEncoderConfig,
): TaskModel<TextEncoderWeights, TextBatch> {
  const apply = textEncoder(config);
  const outputs: TaskModel<TextEncoderWeights, TextBatch>['outputs'] = (w, x, key) =>
    apply(w, x, { key });
  return { outputs, loss: lossOf(outputs, crossEntropy) };
}

/** Logits [images, texts]; the loss is that of training CLIP, image i belonging to text i. */
export function imagesAndTexts(
  config: ContrastiveConfig,
): TaskModel<ContrastiveWeights, ContrastiveInputs> {
  const apply = contrastive(config);
  const outputs: TaskModel<ContrastiveWeights, ContrastiveInputs>['outputs'] = (w, x, key) =>
    apply(w, x, { key });
  return { outputs, loss: lossOf(outputs, contrastiveLoss) };
}

/** A model that embeds has no loss of its own. */
const noLoss = (name: string) => (): never => {
  throw new FlatloraError(
    'argument',
    `${name}: an embedding model has no loss; write one of its outputs`,
  );
};

/** Embeddings of images, [b, projection]. */
export function imageFeatures(
  config: VisionTransformerConfig,
): TaskModel<VisionTransformerWeights, Pick<ImageBatch, 'images'>> {
  const apply = visionTransformer(config);
  return {
    outputs: (w, { images }, key) => apply(w, images, { key }),
    loss: noLoss('imageFeatures'),
  };
}

/** Embeddings of texts, [b, projection]. */
export function textFeatures(
  config: TextTowerConfig,
): TaskModel<TextTowerWeights, Pick<TextBatch, 'tokens' | 'mask'>> {
  const apply = textTower(config);
  return {
    outputs: (w, { tokens, mask }, key) => apply(w, tokens, { mask, key }),
    loss: noLoss('textFeatures'),
  };
}
