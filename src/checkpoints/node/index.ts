/** Checkpoints in files (Node). */
export { readBytes, readSafetensors, writeBytesAtomically, writeSafetensors } from './files.js';
export { openSafetensors, openSharded } from './source.js';
export * from './store.js';
