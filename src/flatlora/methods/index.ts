/** Fine-tuning methods: which parameters they train, and which weights these stand for. */

export * from './adaLora.js';
export * from './bar.js';
export * from './biLora.js';
export * from './corda.js';
export * from './dora.js';
export * from './efmLora.js';
export * from './fullFineTuning.js';
export * from './galore.js';
export * from './ggpo.js';
export * from './lora.js';
export * from './loraGa.js';
export * from './loraPlus.js';
export * from './loraPro.js';
export * from './mgpo.js';
export * from './pissa.js';
export * from './residualStart.js';
export * from './rslora.js';
