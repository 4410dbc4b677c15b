/** Backends, and the compilation of traced functions for them. */
export * from './backend.js';
export * from './compile.js';
export * from './reference/backend.js';
