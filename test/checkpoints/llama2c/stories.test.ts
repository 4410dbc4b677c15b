/** A real pre-trained Llama writes, letter for letter, what llama2.c's own program writes with it. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { orThrow } from '../../../src/autodiff/index.js';
import {
  LLAMA2C_BEGIN,
  readLlama2c,
  readLlama2cTokenizer,
} from '../../../src/checkpoints/index.js';
import { decoderPrograms, generate, textOf } from '../../../src/generation/index.js';
import { wasmBackend } from '../../../src/kernels/index.js';

const folder = path.join(process.env.FLATLORA_DATA ?? '', 'stories260k');
const withData = process.env.FLATLORA_DATA !== undefined && existsSync(folder) ? test : test.skip;

withData('stories260K, greedy, 200 tokens', async () => {
  const file = (name: string) => new Uint8Array(readFileSync(path.join(folder, name)));
  const { config, weights } = orThrow(readLlama2c(file('stories260K.bin')));
  const { bytesOf } = orThrow(readLlama2cTokenizer(file('tok512.bin')));
  const backend = await wasmBackend({ threads: 1 });
  const before = backend.memory().buffers;
  const programs = decoderPrograms(config, backend, { length: 201 });
  let text = '';
  // The program ends where the model begins another text.
  const tokens = generate(programs, weights, [LLAMA2C_BEGIN], {
    maxTokens: 200,
    stop: [LLAMA2C_BEGIN],
  });
  for await (const piece of textOf(tokens, bytesOf)) text += piece;
  await programs.dispose();
  const left = backend.memory().buffers - before;
  await backend.dispose();
  expect(text.trim()).toBe(new TextDecoder().decode(file('stories260K.expected.txt')).trim());
  expect(left).toBe(0);
});
