/** Loss transformers: what training minimises in the place of the loss. */
export * from './flat.js';
export * from './fmLora.js';
export * from './lpfSgd.js';
export * from './perturb.js';
export * from './sam.js';
export * from './schedules.js';
