/** LoRA as re-parametrisation, Flat-LoRA and SAM as loss transformers, sharpness tools. */
export * from './adapt.js';
export * from './adapterMethod.js';
export * from './flat.js';
export * from './fullFineTuning.js';
export * from './layerNames.js';
export * from './layerwise.js';
export * from './lora.js';
export * from './nearMatches.js';
export * from './perturb.js';
export * from './sam.js';
export * from './schedules.js';
export * from './sharpness/index.js';
export * from './targets.js';
