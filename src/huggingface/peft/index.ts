/** Adapters in the layout of PEFT (huggingface/peft). */
export * from './adapter.js';
export * from './config.js';
export * from './merge.js';
export * from './modules.js';
export * from './write.js';
