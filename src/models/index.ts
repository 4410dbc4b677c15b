/** Transformers as pure functions of their weights. */
export * from './diffusion/ddim.js';
export * from './diffusion/denoising.js';
export * from './diffusion/schedule.js';
export * from './families/cachedDecoder.js';
export * from './families/cachedEncoderDecoder.js';
export * from './families/causalDecoder.js';
export * from './families/contrastive.js';
export * from './families/diffusionTransformer.js';
export {
  type EncoderDecoderConfig,
  type EncoderDecoderInputs,
  type EncoderDecoderWeights,
  encode,
  encoderDecoder,
  initEncoderDecoder,
} from './families/encoderDecoder.js';
export * from './families/textEncoder.js';
export * from './families/visionTransformer.js';
export * from './initialisers.js';
export * from './layers/activations.js';
export * from './layers/attention.js';
export { dropout as dropoutLayer } from './layers/dropout.js';
export * from './layers/embedding.js';
export * from './layers/linear.js';
export * from './layers/mlp.js';
export * from './layers/modulation.js';
export * from './layers/norm.js';
export * from './layers/patches.js';
export * from './layers/positions.js';
export * from './layers/relativeBias.js';
export * from './layers/rotaryScaling.js';
export * from './layers/timeEmbedding.js';
export * from './losses.js';
export * from './quantised.js';
export * from './transformer/block.js';
export * from './transformer/config.js';
export * from './transformer/stack.js';
export * from './weights.js';
