/** The engine's front door. */
export * from './random/keys.js';
