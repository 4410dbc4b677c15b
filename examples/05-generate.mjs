/**
 * A Hugging Face folder (config.json, model.safetensors) loaded, and text written by it.
 *
 *     node examples/05-generate.mjs ./folder-of-a-llama
 *
 * Without an argument it takes a tiny random Llama of the tests, whose words are numbers.
 */
import { key, orThrow } from 'flatlora/autodiff';
import { decoderPrograms, generate, sampled } from 'flatlora/generation';
import { loadModel } from 'flatlora/huggingface/node';
import { wasmBackend } from 'flatlora/kernels';

const folder =
  process.argv[2] ?? new URL('../test/fixtures/huggingface/llama', import.meta.url).pathname;
const { architecture, config, weights } = orThrow(await loadModel(folder)());
console.log(`${architecture.name}: ${config.depth} blocks of width ${config.width}`);

const backend = await wasmBackend({ threads: 1 });
const programs = decoderPrograms(config, backend, { length: 32 });
for (const [name, sampler] of [
  ['the likeliest tokens', undefined],
  ['drawn, top-p 0.9', sampled(key(7), { temperature: 0.8, topP: 0.9 })],
]) {
  const written = [];
  // Each token comes as soon as it is chosen.
  for await (const token of generate(programs, weights, [1, 39, 51], {
    maxTokens: 10,
    ...(sampler && { sampler }),
  })) {
    written.push(token);
  }
  console.log(`${name}: ${written.join(' ')}`);
}
await programs.dispose();
await backend.dispose();
