/** Model and adapter folders, and their tokenizers (Node). */
export * from './folder.js';
export * from './tokenizer.js';
