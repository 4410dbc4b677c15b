/** Checkpoints in files (Node). */
export { readBytes, readSafetensors, writeBytesAtomically, writeSafetensors } from './files.js';
export * from './store.js';
