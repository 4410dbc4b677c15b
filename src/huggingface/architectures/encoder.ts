/** What the configurations of ViT, BERT and CLIP say alike, in Hugging Face's words and ours. */
import * as v from 'valibot';
import type { Activation } from '../../models/index.js';
import { or, size } from '../json.js';

/** Fields of the blocks, all of which must be there. */
export const encoderFields = {
  hidden_act: or(v.string(), 'gelu'),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  layer_norm_eps: or(v.number(), 1e-12),
};

interface Given {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly layer_norm_eps: number;
}

/** A transformer with layer norms and learned positions, of these sizes. */
export const encoderConfig = (given: Given, activation: Activation) =>
  ({
    width: given.hidden_size,
    depth: given.num_hidden_layers,
    heads: given.num_attention_heads,
    mlpWidth: given.intermediate_size,
    activation,
    norm: 'layerNorm',
    normEpsilon: given.layer_norm_eps,
    positions: 'learned',
  }) as const;
