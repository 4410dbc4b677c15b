/** Writing text with a causal decoder: programs with a key–value cache, samplers, streams of tokens. */
export * from './generate.js';
export * from './programs.js';
export * from './sampling.js';
