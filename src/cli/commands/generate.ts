/** `flatlora generate`: text from a model, token by token. */
import { FlatloraError, key, orThrow } from '../../autodiff/index.js';
import { aidsOf, hostWeights, openBackend, promptTokens, uploaded } from '../../finetune/index.js';
import {
  beamSearch,
  type DecoderPrograms,
  decoderPrograms,
  encoderDecoderPrograms,
  generate,
  greedy,
  type Sampler,
  sampled,
} from '../../generation/index.js';
import type { Seq2SeqConfig } from '../../huggingface/index.js';
import { type OpenedModel, openModel } from '../../huggingface/node/index.js';
import { type Backend, release } from '../../kernels/index.js';
import type { CausalDecoderConfig } from '../../models/index.js';
import { type Command, type Flag, onlyKnown, required, SHARED_FLAGS } from '../command.js';
import { EXIT } from '../exit.js';

const FLAGS: readonly Flag[] = [
  SHARED_FLAGS.model,
  SHARED_FLAGS.adapter,
  { field: 'prompt', kind: 'text', help: 'what the text begins with' },
  {
    field: 'beams',
    kind: 'number',
    help: 'texts alive at once in a beam search (default: 1, none)',
  },
  {
    field: 'lengthPenalty',
    kind: 'number',
    help: 'exponent of the length in a beam’s score (default: 1)',
  },
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

/** Programs long enough for a prompt and what is written after it. */
function programsFor(
  { architecture, config }: OpenedModel,
  backend: Backend,
  prompt: number,
  maxTokens: number,
): DecoderPrograms {
  if (architecture.task === 'seq2seq-lm') {
    const { startToken } = config as Seq2SeqConfig;
    return encoderDecoderPrograms(config as Seq2SeqConfig, backend, {
      length: 1 + maxTokens,
      startToken,
    });
  }
  const decoder = config as CausalDecoderConfig;
  const length = Math.min(decoder.maxLength, prompt + maxTokens);
  return decoderPrograms(decoder, backend, { length });
}

export const generateCommand: Command = {
  name: 'generate',
  summary: 'write text with a causal language model or an encoder–decoder',
  examples: [
    'flatlora generate --model ./llama --adapter run/best --prompt "Once upon a time"',
    'flatlora generate --model ./t5 --prompt "summarise: …" --beams 4',
    'flatlora generate --model ./llama --prompt "1 + 1 =" --temperature 0.8 --top-p 0.9 --seed 7',
  ],
  flags: FLAGS,
  run: async (given, { out, err, signal }) => {
    onlyKnown(given, FLAGS);
    const folder = required(given, 'model');
    const prompt = required(given, 'prompt');
    const {
      adapter,
      maxTokens = 100,
      stop,
      beams = 1,
      lengthPenalty = 1,
    } = given as Readonly<Record<string, never>>;
    const opened = orThrow(await openModel(folder, { keepHalf: true })());
    const { task, name } = opened.architecture;
    if (task !== 'causal-lm' && task !== 'seq2seq-lm') {
      throw new FlatloraError(
        'argument',
        `generate: ${name} is for ${task}, expected a causal language model or an encoder–decoder`,
      );
    }
    const limits = { maxLength: 0, maxTargetLength: 0, pack: false, buckets: 1 };
    const { tokenizer: load, endToken } = aidsOf(folder, opened, limits);
    const tokenizer = await load();
    const reads = task === 'seq2seq-lm';
    const ids = reads ? tokenizer.encode(prompt) : promptTokens(tokenizer, prompt, endToken);
    const weights = await hostWeights(opened, adapter === undefined ? {} : { adapter });
    const { backend } = await openBackend(
      given.backend as string | undefined,
      given.threads as number | undefined,
    );
    const programs = programsFor(opened, backend, ids.length, Number(maxTokens));
    const onDevice = uploaded(backend, weights);
    const ends = endToken === undefined ? [] : [endToken];
    const written: number[] = [];
    const text = () => tokenizer.decode(written);
    const started = performance.now();
    if (Number(beams) > 1) {
      const [best] = await beamSearch(programs, onDevice, ids, {
        beams: Number(beams),
        maxTokens: Number(maxTokens),
        lengthPenalty: Number(lengthPenalty),
        stop: ends,
      });
      written.push(...(best?.tokens ?? []));
    } else {
      const options = { maxTokens: Number(maxTokens), stop: ends, sampler: samplerOf(given) };
      for await (const token of generate(programs, onDevice, ids, options)) {
        written.push(token);
        if (signal.aborted || (stop !== undefined && text().includes(stop))) break;
      }
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
