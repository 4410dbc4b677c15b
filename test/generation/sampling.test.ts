/** Laws of the samplers, and text as a stream. */
import fc from 'fast-check';
import { key } from '../../src/autodiff/index.js';
import { choices, greedy, sampled, textOf } from '../../src/generation/index.js';

const place = { row: 0, position: 0 };
const logitsOf = fc.array(
  fc.integer({ min: -80, max: 80 }).map((n) => n / 4),
  {
    minLength: 1,
    maxLength: 12,
  },
);
const optionsOf = fc.record({
  temperature: fc.double({ min: 0.1, max: 5, noNaN: true }),
  topK: fc.integer({ min: 1, max: 15 }),
  topP: fc.double({ min: 0.01, max: 1, noNaN: true }),
});

test('greedy takes the greatest logit, the first of several', () => {
  expect(greedy([1, 3, 3, 2], place)).toBe(1);
  fc.assert(
    fc.property(logitsOf, (z) => greedy(z, place) === z.indexOf(Math.max(...z))),
    { seed: 1 },
  );
});

describe('choices', () => {
  test('probabilities sum up to 1 and fall; the greatest logit is always there', () => {
    fc.assert(
      fc.property(logitsOf, optionsOf, (z, options) => {
        const list = choices(z, options);
        const p = list.map(({ probability }) => probability);
        expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
        expect(p).toEqual(p.toSorted((a, b) => b - a));
        expect(z[list[0]?.id as number]).toBe(Math.max(...z));
        expect(list.length).toBeLessThanOrEqual(options.topK);
      }),
      { seed: 2 },
    );
  });

  test('without cuts they are softmax(z/τ)', () => {
    const z = [0.3, -1, 2];
    const e = z.map((x) => Math.exp(x / 0.7));
    const sum = e.reduce((a, b) => a + b);
    for (const { id, probability } of choices(z, { temperature: 0.7 })) {
      expect(probability).toBeCloseTo((e[id] as number) / sum, 14);
    }
  });

  test('top-p keeps the fewest that reach p', () => {
    // Probabilities 0.5, 0.3, 0.15, 0.05.
    const z = [0.3, 0.5, 0.05, 0.15].map(Math.log);
    const ids = (topP: number) => choices(z, { topP }).map(({ id }) => id);
    expect([ids(0.4), ids(0.6), ids(0.9), ids(1)]).toEqual([[1], [1, 0], [1, 0, 3], [1, 0, 3, 2]]);
    expect(choices(z, { topP: 0.6 })[0]?.probability).toBeCloseTo(0.5 / 0.8, 12);
  });

  test('top-p cuts what top-k left', () => {
    // Of 0.4, 0.3, 0.2, 0.1 the first two are 4/7 and 3/7, so the first alone reaches 0.5.
    const z = [0.4, 0.3, 0.2, 0.1].map(Math.log);
    expect(choices(z, { topK: 2, topP: 0.5 })).toHaveLength(1);
  });
});

describe('sampled', () => {
  test('one candidate or a cold temperature is greedy', () => {
    fc.assert(
      fc.property(logitsOf, fc.nat(1000), (z, position) => {
        const at = { row: 0, position };
        expect(sampled(key(1), { topK: 1 })(z, at)).toBe(greedy(z, at));
        expect(sampled(key(1), { topP: 1e-9 })(z, at)).toBe(greedy(z, at));
      }),
      { seed: 3 },
    );
    expect(sampled(key(1), { temperature: 1e-3 })([1, 2, 1.9], place)).toBe(1);
  });

  test('frequencies are the probabilities', () => {
    // 20,000 draws; 5.5 standard deviations: false alarms below 10⁻⁷ for the three together.
    const p = [0.6, 0.3, 0.1];
    const count = 20_000;
    const seen = [0, 0, 0];
    const draw = sampled(key(7));
    for (let position = 0; position < count; position++) {
      (seen[draw(p.map(Math.log), { row: 2, position })] as number) += 1;
    }
    for (const [i, q] of p.entries()) {
      const sd = Math.sqrt(count * q * (1 - q));
      expect(Math.abs((seen[i] as number) - count * q)).toBeLessThan(5.5 * sd);
    }
  });

  test('the same key and place give the same token; other rows and places others', () => {
    const z = new Array(50).fill(0);
    const draw = (k: number, row: number) =>
      Array.from({ length: 20 }, (_, position) => sampled(key(k))(z, { row, position }));
    expect(draw(1, 0)).toEqual(draw(1, 0));
    expect(draw(1, 0)).not.toEqual(draw(2, 0));
    expect(draw(1, 0)).not.toEqual(draw(1, 1));
    expect(new Set(draw(1, 0)).size).toBeGreaterThan(5);
  });

  test.each([
    [{ temperature: 0 }, /temperature is 0/],
    [{ temperature: Number.NaN }, /temperature is NaN/],
    [{ topK: 0 }, /topK is 0/],
    [{ topK: 1.5 }, /topK is 1.5/],
    [{ topP: 0 }, /topP is 0/],
    [{ topP: 1.1 }, /topP is 1.1/],
  ])('%p is told', (options, message) => {
    expect(() => sampled(key(1), options)).toThrow(message);
  });
});

test('a character spread over tokens comes out whole', async () => {
  const bytes = new TextEncoder().encode('aé🙂');
  async function* each() {
    yield* bytes.keys();
  }
  const pieces: string[] = [];
  for await (const piece of textOf(each(), (i) => bytes.slice(i, i + 1))) pieces.push(piece);
  expect(pieces).toEqual(['a', 'é', '🙂']);
});
