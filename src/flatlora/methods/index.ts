/** Fine-tuning methods: which parameters they train, and which weights these stand for. */
export * from './fullFineTuning.js';
export * from './lora.js';
