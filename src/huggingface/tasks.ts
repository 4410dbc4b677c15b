/**
 * What models are trained and used for, one function a task: logits and the loss that Hugging Face's
 * classes compute, on batches with their names.
 */
import { type Loss, sliceAxis, type Value } from '../autodiff/index.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  causalDecoder,
  softmaxCrossEntropy,
} from '../models/index.js';

/** Texts to be gone on with. */
export interface CausalLmBatch<A = Value> {
  /** int [b, T] */
  readonly tokens: A;
  /** int [b, T]: the tokens themselves, −100 where nothing is asked (the prompt, padding). */
  readonly labels: A;
  /** bool [b, T], false at padding. */
  readonly mask?: A;
}

/** Everything that a task offers. */
export interface TaskModel<W, X, O = Value> {
  readonly outputs: (weights: W, batch: Omit<X, 'labels'>, key?: Value) => O;
  readonly loss: Loss<W, X>;
}

/**
 * Next-token prediction: the label at t + 1 is asked of the logits at t, as in `…ForCausalLM`.
 * Outputs are logits [b, T, vocabulary].
 */
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
    loss: (weights, { tokens, labels, mask }, { sampleKey, training }) => {
      const length = tokens.shape[1] as number;
      const logits = outputs(
        weights,
        { tokens, ...(mask && { mask }) },
        training ? sampleKey : undefined,
      );
      return softmaxCrossEntropy(
        sliceAxis(logits, 1, 0, length - 1),
        sliceAxis(labels, 1, 1, length),
      );
    },
  };
}
