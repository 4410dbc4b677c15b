/** Elementwise primitives: see `define.ts` for what they have in common. */
export * from './arithmetic.js';
export * from './choice.js';
