/**
 * Training: optimisers as chains of gradient transformations, schedules, the step as one program,
 * accumulation, evaluation, and the loop. `node/` has the terminal's progress bar and Ctrl-C.
 */
export * from './batches.js';
export * from './evaluation.js';
export * from './events.js';
export * from './firstNonFinite.js';
export * from './loop.js';
export * from './step.js';
