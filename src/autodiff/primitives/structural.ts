/** Primitives that only move elements. */
export * from './reshaping.js';
export * from './slicing.js';
