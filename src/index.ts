/** The library's front door. */
export * from './autodiff/index.js';
