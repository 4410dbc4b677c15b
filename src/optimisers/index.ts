/** Gradient transformations and the optimisers that are chains of them. */
export * from './adamW.js';
export * from './clip.js';
export * from './schedules.js';
export * from './sgd.js';
export {
  chain,
  type GradientTransformation,
  gradientTransformationMonoid,
  type OptimiserState,
  stateless,
  type UpdateContext,
  type Updated,
  type WeightDecay,
} from './transformation.js';
