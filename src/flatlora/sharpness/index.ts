/** How sharp a minimum is: in expectation, in its sharpest direction, and as a picture. */
export * from './directions.js';
export * from './expectedSharpness.js';
export * from './hessian.js';
export * from './lanczos.js';
export * from './lossSurface.js';
export * from './runner.js';
