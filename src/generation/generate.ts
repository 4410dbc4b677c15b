/** Text, token by token, as async generators: whoever reads decides how far it goes. */
import { release } from '../kernels/index.js';
import { checkPrompts, placed } from './placed.js';
import type { DecoderPrograms, DeviceCache, Expected } from './programs.js';
import { greedy, type Sampler } from './sampling.js';

export interface GenerateOptions {
  /** The most tokens to write; as many as the programs' `length` leaves by default. */
  readonly maxTokens?: number;
  /** Ids that end a text; they are not part of it. None by default. */
  readonly stop?: readonly number[];
  /** How tokens are chosen; `greedy` by default. */
  readonly sampler?: Sampler;
}

/**
 * Several texts side by side. Yields, step after step, the next token of each text, `undefined` for
 * one that has ended, until all have.
 *
 * @param weights of the plain model (for adapters: merged), on the host or on the device; left alone.
 * @param prompts at least one token each, of any lengths. A decoder that knows a token for the
 *   beginning of a text wants it here.
 * @throws FlatloraError 'argument' for prompts that are empty or longer than the programs' `length`.
 */
export async function* generateTogether(
  programs: DecoderPrograms,
  weights: unknown,
  prompts: readonly (readonly number[])[],
  { maxTokens, stop = [], sampler = greedy }: GenerateOptions = {},
): AsyncGenerator<readonly (number | undefined)[], void> {
  const { backend, length, before, longestPrompt } = programs;
  checkPrompts(prompts, longestPrompt);
  const { onDevice, ours } = placed(backend, weights);
  let cache: DeviceCache | undefined;
  try {
    // The last token is never looked at again, so it needs no place in the cache.
    const room = (row: number) =>
      Math.min(maxTokens ?? length, length + 1 - before(prompts[row] as readonly number[]));
    const ended = prompts.map(() => false);
    const positions = prompts.map(before);
    let tokens = prompts.map(() => 0);
    for (let written = 0; ; written++) {
      for (const row of ended.keys()) ended[row] ||= written >= room(row);
      if (ended.every(Boolean)) return;
      const given = cache;
      // Should the step fail, the cache is no longer ours to release.
      cache = undefined;
      const expected: Expected =
        given === undefined
          ? await programs.read(onDevice, prompts)
          : await programs.step(onDevice, tokens, positions, given);
      cache = expected.cache;
      if (written > 0) for (const row of positions.keys()) (positions[row] as number) += 1;
      tokens = expected.logits.map((z, row) =>
        ended[row] ? 0 : sampler(z, { row, position: positions[row] as number }),
      );
      for (const [row, token] of tokens.entries()) ended[row] ||= stop.includes(token);
      if (ended.every(Boolean)) return;
      yield tokens.map((token, row) => (ended[row] ? undefined : token));
    }
  } finally {
    release(backend, [ours, cache ?? []]);
  }
}

/**
 * One text, token after token.
 *
 *     for await (const token of generate(programs, weights, prompt)) …
 */
export async function* generate(
  programs: DecoderPrograms,
  weights: unknown,
  prompt: readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<number, void> {
  for await (const [token] of generateTogether(programs, weights, [prompt], options)) {
    if (token !== undefined) yield token;
  }
}

/** The tokens that follow each prompt, all at once. */
export async function completions(
  programs: DecoderPrograms,
  weights: unknown,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions = {},
): Promise<readonly (readonly number[])[]> {
  const texts = prompts.map((): number[] => []);
  for await (const tokens of generateTogether(programs, weights, prompts, options)) {
    for (const [row, token] of tokens.entries()) {
      if (token !== undefined) texts[row]?.push(token);
    }
  }
  return texts;
}

/**
 * Tokens as text while they come. A character whose bytes are spread over tokens is given out with the
 * last of them.
 * @param bytesOf the bytes that an id stands for, such as that of a llama2.c tokenizer.
 */
export async function* textOf(
  tokens: AsyncIterable<number>,
  bytesOf: (id: number) => Uint8Array,
): AsyncGenerator<string, void> {
  const utf8 = new TextDecoder();
  for await (const token of tokens) {
    const text = utf8.decode(bytesOf(token), { stream: true });
    if (text !== '') yield text;
  }
  const rest = utf8.decode();
  if (rest !== '') yield rest;
}
