/**
 * How sharp a minimum is: in its sharpest directions and on the whole (`hessian`), in expectation
 * (`expectedSharpness`), at the worst point nearby (`worstCase`), and as a picture (`lossSurface`,
 * `interpolation`).
 */
export * from './directions.js';
export * from './expectedSharpness.js';
export * from './hessian.js';
export * from './hutchinson.js';
export * from './interpolation.js';
export * from './lanczos.js';
export * from './loraSam.js';
export * from './lossSurface.js';
export * from './runner.js';
export * from './tridiagonal.js';
export * from './worstCase.js';
