/**
 * Auxiliary arrays: arrays in the tree of trained parameters that no optimiser trains. A method uses
 * them in training only (Bi-LoRA's second pair, a running average of perturbations), changes them by
 * a rule of its own, and leaves them out of merged weights and saved adapters. Checkpoints of training
 * keep them, since a run could not go on without them.
 *
 * They are told by their names, so that transformers that walk over the trained parameters (`sam`
 * and `flat` over the factors) can pass them over without knowing any method.
 */

/** What the name of each auxiliary array begins with: `auxiliaryB`. */
export const AUXILIARY = 'auxiliary';

/** Whether the array at a path of a tree, such as `blocks.0.query.weight.auxiliaryB`, is one. */
export const isAuxiliary = (path: string): boolean =>
  path.slice(path.lastIndexOf('.') + 1).startsWith(AUXILIARY);
