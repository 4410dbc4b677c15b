/** Writing text with a causal decoder: programs with a key–value cache, samplers, streams of tokens. */
export * from './beam.js';
export {
  completions,
  type GenerateOptions,
  generate,
  generateTogether,
  textOf,
} from './generate.js';
export * from './programs.js';
export * from './sampling.js';
