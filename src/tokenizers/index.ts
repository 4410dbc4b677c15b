/** Tokenizers: reading `tokenizer.json` files, and learning a vocabulary of one's own. */
export * from './bpe.js';
export * from './bpeFile.js';
export * from './older.js';
export * from './tokenizer.js';
