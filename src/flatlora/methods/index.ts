/** Fine-tuning methods: which parameters they train, and which weights these stand for. */

export * from './bar.js';
export * from './dora.js';
export * from './fullFineTuning.js';
export * from './galore.js';
export * from './lora.js';
export * from './loraPlus.js';
export * from './loraPro.js';
export * from './rslora.js';
