/** Fine-tuning methods as re-parametrisations, Flat-LoRA and SAM as loss transformers, sharpness tools. */
export * from './adapt.js';
export * from './adapterMethod.js';
export * from './auxiliaryNames.js';
export { hostLowRankSum } from './hostMatrix.js';
export * from './layerNames.js';
export * from './layerwise.js';
export * from './methods/index.js';
export * from './nearMatches.js';
export * from './objectives/index.js';
export * from './sharpness/index.js';
export * from './statistics/index.js';
export * from './targets.js';
