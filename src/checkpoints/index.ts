/**
 * Checkpoints: safetensors files as pure functions of bytes, trees as named tensors, training states.
 * `node/` has the part that touches files.
 */
export * from './configuration.js';
export * from './llama2c/index.js';
export * from './safetensors/codec.js';
export {
  type ReadOptions,
  type StorageType,
  type StoredTensor,
  stored,
  type WritableType,
} from './safetensors/storage.js';
export { shardsOf } from './shards.js';
export * from './source.js';
export * from './trainingState.js';
export * from './trees.js';
