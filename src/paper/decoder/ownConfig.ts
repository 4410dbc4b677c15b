/** The shape of the decoder in `weights/decoder.safetensors`: Llama's, in small. */
import type { CausalDecoderConfig } from '../../models/index.js';

export const OWN: CausalDecoderConfig = {
  vocabulary: 1024,
  maxLength: 512,
  width: 96,
  depth: 4,
  heads: 4,
  mlpWidth: 256,
  activation: 'silu',
  gatedMlp: true,
  norm: 'rmsNorm',
  biases: false,
  positions: 'rotary',
  tiedHead: true,
};
