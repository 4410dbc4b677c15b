/** Writing with an encoder–decoder and by beam search: the cache changes nothing, beams find what there is. */
import {
  flatData,
  type HostArray,
  hostArray,
  ints,
  range,
  type Value,
} from '../../src/autodiff/index.js';
import {
  beamSearch,
  completions,
  type DecoderPrograms,
  decoderPrograms,
  encoderDecoderPrograms,
  logProbabilities,
} from '../../src/generation/index.js';
import type { Seq2SeqConfig } from '../../src/huggingface/index.js';
import { type Backend, evaluate, referenceBackend, wasmBackend } from '../../src/kernels/index.js';
import { type CausalDecoderConfig, causalDecoder, encoderDecoder } from '../../src/models/index.js';
import { arrayOf, maskOf, readExpected, readModel } from '../huggingface/golden.js';

const rowsOf = (x: HostArray): number[][] => {
  const [count, width] = x.shape as [number, number];
  const data = Array.from(flatData(x));
  return range(count).map((i) => data.slice(i * width, (i + 1) * width));
};

describe.each(['t5_v1_0', 't5_v1_1'])('%s', (model) => {
  const { inputs, greedy } = readExpected(`${model}/expected.json`);
  const ids = greedy?.decoder_ids;
  if (ids === undefined) throw new Error('no greedy text');
  const mask = rowsOf(maskOf(inputs.attention_mask));
  const sources = rowsOf(arrayOf(inputs.input_ids)).map((row, i) =>
    row.filter((_, j) => mask[i]?.[j] === 1),
  );

  test("greedy texts are Hugging Face's", async () => {
    const { config, weights } = await readModel(model);
    const backend = await wasmBackend({ threads: 1 });
    const length = ids.shape[1] as number;
    const { startToken } = config as Seq2SeqConfig;
    const programs = encoderDecoderPrograms(config as Seq2SeqConfig, backend, {
      length,
      startToken,
    });
    const write = () => completions(programs, weights, sources, { maxTokens: length - 1 });
    const texts = await write();
    // Programs hold constants from their first use on; nothing else may stay.
    const live = backend.memory().bytes;
    expect(await write()).toEqual(texts);
    expect(backend.memory().bytes).toBe(live);
    await programs.dispose();
    await backend.dispose();
    expect(texts.map((text) => [startToken, ...text])).toEqual(rowsOf(ints(ids.data, ids.shape)));
  });

  test('logits through the cache are those without it', async () => {
    const { config, weights } = await readModel(model);
    const backend = referenceBackend();
    const { startToken } = config as Seq2SeqConfig;
    const programs = encoderDecoderPrograms(config as Seq2SeqConfig, backend, {
      length: 6,
      startToken,
    });
    const [source] = sources as [number[]];
    const text = [startToken, 9, 4, 17, 30];
    const apply = encoderDecoder(config as Seq2SeqConfig);
    const whole = (await evaluate(
      ((w: never, s: Value, t: Value) => apply(w, { source: s, target: t })) as never,
      backend,
      weights,
      ints(source, [1, source.length]),
      ints(text, [1, text.length]),
    )) as unknown as HostArray;
    const vocabulary = whole.shape[2] as number;
    const expected = (t: number) =>
      Array.from(flatData(whole).subarray(t * vocabulary, (t + 1) * vocabulary));
    let { logits, cache } = await programs.read(weights, [source]);
    for (let t = 0; ; t++) {
      const found = Array.from(logits[0] as ArrayLike<number>);
      expect(
        Math.max(...found.map((x, i) => Math.abs(x - (expected(t)[i] as number)))),
      ).toBeLessThan(1e-9);
      if (t === text.length - 1) break;
      ({ logits, cache } = await programs.step(weights, [text[t + 1] as number], [t + 1], cache));
    }
    await programs.dispose();
  });
});

/** Programs that look a text's logits up: any distribution, no model. */
function tabled(
  logitsOf: (text: readonly number[]) => readonly number[],
  length: number,
): DecoderPrograms {
  const expected = (texts: readonly (readonly number[])[]) => ({
    logits: texts.map(logitsOf),
    cache: texts,
  });
  const backend = referenceBackend();
  return {
    backend: { ...backend, release: () => undefined } as Backend,
    length,
    longestPrompt: length,
    before: () => 1,
    read: async (_, prompts) => expected(prompts.map(() => [])),
    step: async (_, tokens, __, cache) =>
      expected((cache as number[][]).map((text, i) => [...text, tokens[i] as number])),
    reorder: async (cache, rows) => rows.map((row) => (cache as number[][])[row]),
    dispose: async () => undefined,
  };
}

/** Logits of each text by a hash of its tokens. */
const scrambled = (seed: number, vocabulary: number) => (text: readonly number[]) =>
  range(vocabulary).map((id) => {
    const h = text.reduce((n, t) => Math.imul(n ^ (t + 1), 0x01000193), 0x811c9dc5 ^ (seed * 31));
    return 3 * Math.sin(h * 1e-3 + id * (1 + seed * 0.1));
  });

/** Every text of up to `length` tokens, with its score: id 0 ends one. */
function all(
  logitsOf: (text: readonly number[]) => readonly number[],
  length: number,
  penalty: number,
) {
  const done: { tokens: readonly number[]; score: number }[] = [];
  const go = (tokens: readonly number[], sum: number): void => {
    const scores = logProbabilities(logitsOf(tokens));
    for (const [id, score] of scores.entries()) {
      const total = sum + score;
      const count = tokens.length + 1;
      if (id === 0) done.push({ tokens, score: total / count ** penalty });
      else if (count === length)
        done.push({ tokens: [...tokens, id], score: total / count ** penalty });
      else go([...tokens, id], total);
    }
  };
  go([], 0);
  return done.sort((a, b) => b.score - a.score);
}

describe('beam search', () => {
  test.each([0, 1, 2, 3, 4, 5])(
    'as many beams as there are texts find the best ones (seed %i)',
    async (seed) => {
      const [vocabulary, length] = [4, 4];
      const logitsOf = scrambled(seed, vocabulary);
      for (const lengthPenalty of [0, 1]) {
        const found = await beamSearch(tabled(logitsOf, 32), {}, [1], {
          beams: 81,
          maxTokens: length,
          stop: [0],
          lengthPenalty,
          returned: 3,
        });
        const best = all(logitsOf, length, lengthPenalty).slice(0, 3);
        expect(found.map(({ tokens }) => tokens)).toEqual(best.map(({ tokens }) => tokens));
        for (const [i, { score }] of found.entries())
          expect(score).toBeCloseTo(best[i]?.score as number, 10);
      }
    },
  );

  test('one beam without an end is the greedy text', async () => {
    const { config, weights } = await readModel('llama');
    const backend = await wasmBackend({ threads: 1 });
    const programs = decoderPrograms(config as CausalDecoderConfig, backend, { length: 24 });
    const prompt = [1, 39, 51];
    const search = () => beamSearch(programs, weights, prompt, { beams: 1, maxTokens: 8 });
    const [text] = await completions(programs, weights, [prompt], { maxTokens: 8 });
    const [beam] = await search();
    expect(beam?.tokens).toEqual(text);
    const live = backend.memory().bytes;
    await search();
    expect(backend.memory().bytes).toBe(live);
    await programs.dispose();
    await backend.dispose();
  });

  test('through a cache that is put in order: scores are those of the texts', async () => {
    const { config, weights } = await readModel('llama');
    const backend = await wasmBackend({ threads: 1 });
    const programs = decoderPrograms(config as CausalDecoderConfig, backend, { length: 24 });
    const prompt = [1, 39, 51];
    const found = await beamSearch(programs, weights, prompt, {
      beams: 3,
      maxTokens: 6,
      returned: 3,
    });
    const apply = causalDecoder(config as CausalDecoderConfig);
    for (const { tokens, score } of found) {
      const text = [...prompt, ...tokens];
      const whole = (await evaluate(
        ((w: never, t: Value) => apply(w, t)) as never,
        backend,
        weights,
        hostArray(Int32Array.from(text), [1, text.length]),
      )) as unknown as HostArray;
      const vocabulary = whole.shape[2] as number;
      const sum = tokens.reduce((total, token, i) => {
        const at = (prompt.length - 1 + i) * vocabulary;
        return (
          total + (logProbabilities(flatData(whole).subarray(at, at + vocabulary))[token] as number)
        );
      }, 0);
      expect(score).toBeCloseTo(sum / tokens.length, 4);
    }
    expect(new Set(found.map(({ tokens }) => tokens.join())).size).toBe(3);
    await programs.dispose();
    await backend.dispose();
  });

  test.each([
    [{ beams: 0 }, /beams is 0/],
    [{ beams: 2, returned: 3 }, /returned is 3, expected 1 to 2/],
    [{ lengthPenalty: Number.NaN }, /lengthPenalty is NaN/],
  ])('%s', async (options, expected) => {
    await expect(beamSearch(tabled(scrambled(0, 4), 8), {}, [1], options)).rejects.toThrow(
      expected,
    );
  });
});
