/**
 * flatlora: a purely functional autodiff engine whose programs run as GPU kernels, transformers on
 * top of it, and Flat-LoRA as a composable loss transformer.
 *
 * Rooms that need Node (`flatlora/data`, `flatlora/checkpoints/node`, `flatlora/training/node`) have
 * entry points of their own; everything here runs in browsers too.
 */
export * from './autodiff/index.js';
export * from './checkpoints/index.js';
export * from './flatlora/index.js';
export * from './generation/index.js';
export * from './kernels/index.js';
export * from './models/index.js';
export * from './optimisers/index.js';
export * from './training/index.js';
