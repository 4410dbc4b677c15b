/** Training on a terminal (Node): progress and Ctrl-C. */
export * from './interrupt.js';
export * from './progress.js';
