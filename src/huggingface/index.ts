/** Models of Hugging Face checkpoints: `config.json` and safetensors to our models, and back. */
export * from './architecture.js';
export * from './peft/index.js';
export * from './places.js';
export * from './pretrained.js';
export { ARCHITECTURES } from './registry.js';
export * from './tasks.js';
