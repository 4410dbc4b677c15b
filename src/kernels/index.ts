/** Backends, and the compilation of traced functions for them. */
export * from './auto.js';
export * from './backend.js';
export * from './compile.js';
export * from './gpujs/backend.js';
export type { GpuJsMode } from './gpujs/math.js';
export * from './inline.js';
export { bytesOf } from './plan/memory.js';
export { chromeTrace, type KernelTime, printProfile } from './profile.js';
export * from './reference/backend.js';
export * from './runner.js';
export { type WasmOptions, wasmBackend } from './wasm/backend.js';
export { type MemoryPrediction, predictMemory } from './wasm/predict.js';
export { type WebgpuOptions, webgpuBackend } from './webgpu/backend.js';
export type { TuningStore } from './webgpu/tuning.js';
