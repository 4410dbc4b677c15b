/** Llama and GPT-2 against Hugging Face's own numbers. */
import type { HostArray } from '../../src/autodiff/index.js';
import { flatData, ints, range } from '../../src/autodiff/index.js';
import { completions, decoderPrograms } from '../../src/generation/index.js';
import { type CausalLmBatch, causalLm } from '../../src/huggingface/index.js';
import { wasmBackend } from '../../src/kernels/index.js';
import type { CausalDecoderConfig } from '../../src/models/index.js';
import { arrayOf, type Expected, goldenTests, maskOf, readExpected, readModel } from './golden.js';

const batch = ({ inputs }: Expected): CausalLmBatch<HostArray> => ({
  tokens: arrayOf(inputs.input_ids),
  labels: arrayOf(inputs.labels),
  ...(inputs.attention_mask && { mask: maskOf(inputs.attention_mask) }),
});

const MODELS = ['llama', 'llama_tied_mha', 'gpt2'];

for (const model of MODELS) {
  goldenTests({
    model,
    task: causalLm as never,
    outputs: ['logits'],
    cases: [
      { file: 'expected', batch },
      { file: 'expected_padded', batch },
    ],
  });
}

test.each(MODELS)('%s: greedy texts through the key–value cache', async (model) => {
  const { greedy } = readExpected(`${model}/expected.json`);
  if (greedy === undefined) throw new Error('no greedy text');
  const { config, weights } = await readModel(model);
  const backend = await wasmBackend({ threads: 1 });
  const length = greedy.ids.shape[1] as number;
  const programs = decoderPrograms(config as CausalDecoderConfig, backend, { length });
  const rows = (x: HostArray) => {
    const [count, width] = x.shape as [number, number];
    const data = Array.from(flatData(x));
    return range(count).map((i) => data.slice(i * width, (i + 1) * width));
  };
  const prompts = rows(ints(greedy.prompt.data, greedy.prompt.shape));
  const written = await completions(programs, weights as never, prompts, {
    maxTokens: greedy.steps,
    stop: [],
  });
  await programs.dispose();
  await backend.dispose();
  const expected = rows(ints(greedy.ids.data, greedy.ids.shape));
  expect(prompts.map((prompt, i) => [...prompt, ...(written[i] ?? [])])).toEqual(expected);
});
