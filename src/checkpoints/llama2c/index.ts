/** Models and tokenizers in llama2.c's formats, as pure functions of bytes. */
export * from './model.js';
export * from './tokenizer.js';
