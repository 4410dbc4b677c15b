/**
 * Data: labelled images from official files, from the network, or drawn by the library itself;
 * few-shot splits, batches, resizing and corruptions. `portable.ts` is the part without Node.
 */
export * from './cache.js';
export * from './download.js';
export * from './glueFiles.js';
export * from './gunzip.js';
export * from './imageFile.js';
export * from './imageFolder.js';
export * from './portable.js';
export * from './remoteFiles.js';
export * from './source.js';
