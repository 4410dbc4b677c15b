/** `flatlora generate`: text from a model, token by token. */
import { FlatloraError, key, orThrow } from '../../autodiff/index.js';
import { aidsOf, hostWeights, openBackend, promptTokens, uploaded } from '../../finetune/index.js';
import {
  decoderPrograms,
  generate,
  greedy,
  type Sampler,
  sampled,
} from '../../generation/index.js';
import { openModel } from '../../huggingface/node/index.js';
import { release } from '../../kernels/index.js';
import type { CausalDecoderConfig } from '../../models/index.js';
import { type Command, type Flag, onlyKnown, required, SHARED_FLAGS } from '../command.js';
import { EXIT } from '../exit.js';

const FLAGS: readonly Flag[] = [
  SHARED_FLAGS.model,
  SHARED_FLAGS.adapter,
  { field: 'prompt', kind: 'text', help: 'what the text begins with' },
  { field: 'maxTokens', kind: 'number', help: 'tokens to write at most (default: 100)' },
  {
    field: 'temperature',
    kind: 'number',
    help: '0 for the likeliest token each time (default: 0)',
  },
  { field: 'topK', kind: 'number', help: 'only the k likeliest tokens may come' },
  { field: 'topP', kind: 'number', help: 'only the likeliest tokens that sum up to p may come' },
  { field: 'stop', kind: 'text', help: 'a text that ends it' },
  SHARED_FLAGS.seed,
  SHARED_FLAGS.backend,
  SHARED_FLAGS.threads,
];

function samplerOf(given: Readonly<Record<string, unknown>>): Sampler {
  const { temperature = 0, topK, topP, seed = 0 } = given as Readonly<Record<string, number>>;
  return temperature === 0
    ? greedy
    : sampled(key(seed), {
        temperature,
        ...(topK !== undefined && { topK }),
        ...(topP !== undefined && { topP }),
      });
}

export const generateCommand: Command = {
  name: 'generate',
  summary: 'write text with a causal language model',
  examples: [
    'flatlora generate --model ./llama --adapter run/best --prompt "Once upon a time"',
    'flatlora generate --model ./llama --prompt "1 + 1 =" --temperature 0.8 --top-p 0.9 --seed 7',
  ],
  flags: FLAGS,
  run: async (given, { out, err, signal }) => {
    onlyKnown(given, FLAGS);
    const folder = required(given, 'model');
    const prompt = required(given, 'prompt');
    const { adapter, maxTokens = 100, stop } = given as Readonly<Record<string, never>>;
    const opened = orThrow(await openModel(folder)());
    if (opened.architecture.task !== 'causal-lm') {
      throw new FlatloraError(
        'argument',
        `generate: ${opened.architecture.name} is for ${opened.architecture.task}, expected a causal language model`,
      );
    }
    const limits = { maxLength: 0, maxTargetLength: 0, pack: false, buckets: 1 };
    const { tokenizer: load, endToken } = aidsOf(folder, opened, limits);
    const tokenizer = await load();
    const ids = promptTokens(tokenizer, prompt, endToken);
    const weights = await hostWeights(opened, adapter === undefined ? {} : { adapter });
    const { backend } = await openBackend(
      given.backend as string | undefined,
      given.threads as number | undefined,
    );
    const config = opened.config as CausalDecoderConfig;
    const length = Math.min(config.maxLength, ids.length + Number(maxTokens));
    const programs = decoderPrograms(config, backend, { length });
    const onDevice = uploaded(backend, weights);
    const written: number[] = [];
    const text = () => tokenizer.decode(written);
    const started = performance.now();
    for await (const token of generate(programs, onDevice, ids, {
      maxTokens: Number(maxTokens),
      stop: endToken === undefined ? [] : [endToken],
      sampler: samplerOf(given),
    })) {
      written.push(token);
      if (signal.aborted || (stop !== undefined && text().includes(stop))) break;
    }
    const seconds = (performance.now() - started) / 1000;
    await programs.dispose();
    release(backend, onDevice);
    await backend.dispose();
    err(
      `${written.length} tokens, ${(written.length / seconds).toFixed(1)} a second on ${backend.name}`,
    );
    const cut = stop === undefined ? text() : (text().split(stop)[0] ?? '');
    out({ prompt, text: cut, tokens: written.length }, () => cut);
    return EXIT.ok;
  },
};
