/** A decoder that remembers gives the logits of one that reads everything anew. */
import {
  type HostArray,
  hostArray,
  hostUniform,
  ints,
  key,
  orThrow,
  treeMap,
  type Value,
} from '../../src/autodiff/index.js';
import { lora } from '../../src/flatlora/index.js';
import { completions, decoderPrograms, generate } from '../../src/generation/index.js';
import {
  type Backend,
  evaluate,
  referenceBackend,
  release,
  wasmBackend,
} from '../../src/kernels/index.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  causalDecoder,
  initCausalDecoder,
} from '../../src/models/index.js';

const BASE: CausalDecoderConfig = {
  width: 8,
  depth: 2,
  heads: 4,
  keyValueHeads: 2,
  mlpWidth: 12,
  vocabulary: 11,
  maxLength: 16,
  activation: 'silu',
  gatedMlp: true,
  norm: 'rmsNorm',
  biases: false,
  positions: 'rotary',
  tiedHead: true,
};

const CONFIGS: Readonly<Record<string, CausalDecoderConfig>> = {
  'as Llama': BASE,
  'learned positions, biases, norms behind': {
    ...BASE,
    positions: 'learned',
    biases: true,
    norm: 'layerNorm',
    normPlacement: 'post',
    gatedMlp: false,
    activation: 'gelu',
    keyValueHeads: 4,
    tiedHead: false,
  },
  'sinusoidal positions': { ...BASE, positions: 'sinusoidal' },
};

/** Weights large enough for attention to choose. */
const weightsOf = (config: CausalDecoderConfig) =>
  treeMap(
    (x: HostArray, path) =>
      x.shape.length === 2
        ? hostArray(
            hostUniform(key(path.length + x.size), x.size).map((u) => 2 * u - 1),
            x.shape,
          )
        : x,
    initCausalDecoder(config, key(1)),
  ) as CausalDecoderWeights<HostArray>;

const TEXTS = [[1, 5, 3, 3, 9, 2, 7], [4], [10, 0, 6, 8]];

/** Logits of the last token of a text, all of it read anew. */
async function anew(
  config: CausalDecoderConfig,
  weights: unknown,
  text: readonly number[],
  backend: Backend,
) {
  const run = (w: CausalDecoderWeights, tokens: Value) => causalDecoder(config)(w, tokens);
  const { data } = (await evaluate(
    run,
    backend,
    weights,
    ints(text, [1, text.length]),
  )) as HostArray;
  return Array.from(data).slice(-config.vocabulary);
}

const greatestGap = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - (b[i] as number))));

describe.each([
  { name: 'reference', tolerance: 1e-12, open: async () => referenceBackend() },
  { name: 'wasm', tolerance: 1e-5, open: () => wasmBackend({ threads: 1 }) },
])('$name', ({ open, tolerance }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend.dispose());

  test.each(Object.entries(CONFIGS))(
    'texts of different lengths side by side: %s',
    async (_, config) => {
      const weights = weightsOf(config);
      const programs = decoderPrograms(config, backend);
      const going = TEXTS.map((text) => [...text]);
      let { logits, cache } = await programs.read(weights, TEXTS);
      for (let step = 0; step < 3; step++) {
        for (const [row, text] of going.entries()) {
          const expected = await anew(config, weights, text, backend);
          expect(greatestGap(logits[row] as ArrayLike<number>, expected)).toBeLessThan(tolerance);
        }
        const tokens = going.map((text, row) => (3 * step + row + (text[0] as number)) % 11);
        const positions = going.map((text) => text.length);
        ({ logits, cache } = await programs.step(weights, tokens, positions, cache));
        for (const [row, text] of going.entries()) text.push(tokens[row] as number);
      }
      release(backend, cache);
      await programs.dispose();
    },
  );
});

describe('generation', () => {
  const backend = referenceBackend();
  const weights = weightsOf(BASE);
  const programs = decoderPrograms(BASE, backend);
  afterAll(async () => {
    await programs.dispose();
    expect(backend.memory().buffers).toBe(0);
    await backend.dispose();
  });

  test('greedy texts are those of reading everything anew, alone or together', async () => {
    const together = await completions(programs, weights, TEXTS, { maxTokens: 5 });
    for (const [row, text] of TEXTS.entries()) {
      const going = [...text];
      for (let i = 0; i < 5; i++) {
        const logits = await anew(BASE, weights, going, backend);
        going.push(logits.indexOf(Math.max(...logits)));
      }
      expect(together[row]).toEqual(going.slice(text.length));
      const [alone] = await completions(programs, weights, [text], { maxTokens: 5 });
      expect(alone).toEqual(together[row]);
    }
  });

  test('a text ends before its stop token, others go on', async () => {
    const whole = await completions(programs, weights, TEXTS, { maxTokens: 6 });
    const stop = whole[0]?.[2] as number;
    const stopped = await completions(programs, weights, TEXTS, { maxTokens: 6, stop: [stop] });
    const expected = whole.map((text) =>
      text.includes(stop) ? text.slice(0, text.indexOf(stop)) : text,
    );
    expect(stopped).toEqual(expected);
  });

  test('a text fills the cache and one token more, and no more', async () => {
    const [text] = await completions(programs, weights, [[1, 2, 3]]);
    expect(text).toHaveLength(16 - 3 + 1);
    const full = Array.from({ length: 16 }, (_, i) => i % 11);
    expect((await completions(programs, weights, [full]))[0]).toHaveLength(1);
    expect((await completions(programs, weights, [full], { maxTokens: 0 }))[0]).toEqual([]);
  });

  test('who stops reading leaves nothing behind', async () => {
    const before = backend.memory().buffers;
    let count = 0;
    for await (const _ of generate(programs, weights, [1])) if (++count === 3) break;
    expect(count).toBe(3);
    expect(backend.memory().buffers).toBe(before);
  });

  test('merged LoRA weights need no other program', async () => {
    const method = lora({ rank: 2, alpha: 4, targetModules: ['query', 'fc2'] });
    const { adapters, base } = orThrow(method.init(weights, key(3)));
    const moved = treeMap(
      (x: HostArray) => hostArray(new Float32Array(x.size).fill(0.3), x.shape),
      adapters,
    );
    const merged = orThrow(method.merge(base, moved as typeof adapters));
    const [{ logits, cache }] = [await programs.read(merged, [[1, 2, 3]])];
    release(backend, cache);
    const expected = await anew(BASE, merged, [1, 2, 3], backend);
    expect(greatestGap(logits[0] as ArrayLike<number>, expected)).toBeLessThan(1e-12);
    expect(greatestGap(await anew(BASE, weights, [1, 2, 3], backend), expected)).toBeGreaterThan(
      1e-3,
    );
  });

  test.each<[string, readonly (readonly number[])[], RegExp]>([
    ['no prompts', [], /no prompts/],
    ['an empty prompt', [[1], []], /prompt 1 has 0 tokens, expected 1 to 16/],
    ['a prompt too long', [Array(17).fill(1)], /prompt 0 has 17 tokens, expected 1 to 16/],
  ])('%s is told', async (_, prompts, message) => {
    await expect(completions(programs, weights, prompts)).rejects.toThrow(message);
  });

  test('a cache longer than a table of learned positions, and one of no length, are told', async () => {
    const learned = CONFIGS['learned positions, biases, norms behind'] as CausalDecoderConfig;
    const long = decoderPrograms(learned, backend, { length: 17 });
    await expect(completions(long, weightsOf(learned), [[1]])).rejects.toThrow(
      /up to 17 tokens, expected at most 16/,
    );
    expect(() => decoderPrograms(BASE, backend, { length: 0 })).toThrow(/length is 0/);
  });
});
