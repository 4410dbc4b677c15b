/** The part of `data` that needs nothing of Node: what a browser page may import. */
export * from './cifar.js';
export * from './corruptions.js';
export * from './drawnDigits.js';
export * from './glue.js';
export * from './glyphs.js';
export * from './idx.js';
export * from './imageProcessor.js';
export * from './optdigits.js';
export * from './prompts.js';
export * from './records.js';
export * from './resize.js';
export * from './semeion.js';
export * from './sequences.js';
export * from './split.js';
export * from './tar.js';
export * from './types.js';
