/** Model and adapter folders (Node). */
export * from './folder.js';
