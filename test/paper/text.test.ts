/** The text experiments: span corruption, prompts, scores, splits, and one short run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationContext, hostUniform, ints, key, range } from '../../src/autodiff/index.js';
import { evaluate, referenceBackend, wasmBackend } from '../../src/kernels/index.js';
import { initEncoderDecoder } from '../../src/models/index.js';
import type { Cell } from '../../src/paper/experiment.js';
import { figure5a } from '../../src/paper/experiments/figure5a.js';
import { table1 } from '../../src/paper/experiments/table1.js';
import { methodSettings, settingsOf, textCell } from '../../src/paper/text/cells.js';
import { half } from '../../src/paper/text/corpus.js';
import { loadTask, trainingExamples, unseen } from '../../src/paper/text/data.js';
import { encodeExamples, firstTokens, padded, promptIds } from '../../src/paper/text/encode.js';
import { toyTexts } from '../../src/paper/text/grammar.js';
import {
  classScores,
  END_ID,
  MODEL,
  matthews,
  PAD_ID,
  textLoss,
} from '../../src/paper/text/model.js';
import { pretrainingBatches, swapped } from '../../src/paper/text/pretraining.js';
import { prepareText, runCell } from '../../src/paper/text/run.js';
import { corruptSpans } from '../../src/paper/text/spans.js';
import { TASKS } from '../../src/paper/text/tasks.js';
import { loadTokenizer } from '../../src/paper/text/vocabulary.js';
import { toNumbers } from '../support/numeric.js';

const tokenizer = await loadTokenizer();

describe('span corruption', () => {
  const sentinels = range(16).map((n) => 10_000 + n);
  const options = { sentinels, end: END_ID };

  /** The source with every sentinel replaced by what the target says of it. */
  const filled = ({ source, target }: ReturnType<typeof corruptSpans>): readonly number[] => {
    const spans = new Map<number, number[]>();
    let at: number[] = [];
    for (const id of target.slice(0, -1)) {
      if (id >= 10_000) {
        at = [];
        spans.set(id, at);
      } else at.push(id);
    }
    return source.slice(0, -1).flatMap((id) => spans.get(id) ?? [id]);
  };

  test('target and source together are the text, at any length', () => {
    for (const length of [2, 3, 8, 20, 44, 100]) {
      const ids = range(length).map((i) => 100 + i);
      for (const seed of range(20)) {
        const made = corruptSpans(ids, key(seed), options);
        expect(filled(made)).toEqual(ids);
        expect([made.source.at(-1), made.target.at(-1)]).toEqual([END_ID, END_ID]);
      }
    }
  });

  test('15 % in spans of three; sentinels in order, never side by side, and a start that is kept', () => {
    const { source, target } = corruptSpans(range(40), key(3), options);
    const marks = source.filter((id) => id >= 10_000);
    expect(marks).toEqual(sentinels.slice(0, 2));
    expect(target).toHaveLength(6 + 2 + 1);
    expect(source[0]).toBe(0);
    expect(source.some((id, i) => id >= 10_000 && (source[i + 1] as number) >= 10_000)).toBe(false);
  });

  test('all places are equally likely to be removed, but the first', () => {
    const removed = new Array<number>(20).fill(0);
    for (const seed of range(2000)) {
      const { source } = corruptSpans(range(20), key(seed), options);
      for (const id of range(20)) if (!source.includes(id)) removed[id] = (removed[id] ?? 0) + 1;
    }
    // One span of 3 that begins at 1 … 17: inner places are in 3 of 17 spans, 353 of 2,000; six
    // standard deviations are 102, so that all 15 places are right but once in 10⁷ keys.
    for (const id of range(20).slice(3, 18)) {
      expect(Math.abs((removed[id] as number) - (2000 * 3) / 17)).toBeLessThan(103);
    }
    expect(removed[0]).toBe(0);
  });
});

describe('prompts', () => {
  const example = { text: 'One thing .', second: 'Another .', label: 1 };

  test('the form of the paper: task, text, result', () => {
    expect(TASKS.sst2.prompt(example)).toBe(
      'classify the sentiment of the text: One thing . result:',
    );
    expect(TASKS.cola.prompt(example)).toContain('classify the grammaticality of the text: ');
    expect(TASKS.mrpc.prompt(example)).toMatch(/One thing \..*Another \. result:$/);
  });

  test('a long text loses its end, never the end of the prompt', () => {
    const long = TASKS.sst2.prompt({ text: 'very good '.repeat(60), label: 1 });
    const ids = promptIds(tokenizer, long, 30);
    expect(ids).toHaveLength(30);
    const text = tokenizer.decode(ids, { skipSpecials: false });
    expect(text).toMatch(/^classify the sentiment of the text: very good .* result:<\/s>$/);
    expect(promptIds(tokenizer, 'short', 30)).toEqual(tokenizer.encode('short'));
  });

  test('the words of every task begin with different tokens', () => {
    for (const task of Object.values(TASKS)) {
      expect(new Set(firstTokens(tokenizer, task)).size).toBe(task.words.length);
    }
    const same = { ...TASKS.sst2, words: ['good', 'good'] };
    expect(() => firstTokens(tokenizer, same)).toThrow(/begin with the same token/);
  });

  test('examples: prompt, word with its end, label', () => {
    const { source, target, label } = encodeExamples(tokenizer, TASKS.sst2, [example]);
    expect([source.shape, target.shape, label.shape]).toEqual([[1, 64], [1, 6], [1]]);
    const written = toNumbers(target).filter((id) => id !== PAD_ID);
    expect(tokenizer.decode(written, { skipSpecials: false })).toBe('positive</s>');
    expect(label.get(0)).toBe(1);
  });
});

describe('pre-training batches', () => {
  test('swapped: two different neighbours, nothing else', () => {
    expect(swapped('a b c', 0)).toBe('b a c');
    expect(swapped('a b c', 3)).toBe('a c b');
    expect(swapped('a a b', 0)).toBe('a b a');
    expect(swapped('a a', 5)).toBe('a a');
  });

  test('a function of the step; every kind of row', () => {
    const plain = ['the film is good and the acting is moving, once again and in every way'];
    const toy = toyTexts('sentiment', 10, 1);
    const make = () =>
      pretrainingBatches(
        tokenizer,
        { plain, labelled: [['sst2', toy]] },
        {
          spans: 2,
          swaps: 6,
          labelled: 2,
        },
      );
    const batch = make()(4);
    expect(batch).toEqual(make()(4));
    expect(toNumbers(batch.source)).not.toEqual(toNumbers(make()(5).source));
    const row = (i: number) => {
      const text = (array: typeof batch.source) =>
        tokenizer.decode(
          range(array.shape[1] as number)
            .map((t) => array.get(i, t) as number)
            .filter((id) => id !== PAD_ID),
          { skipSpecials: false },
        );
      return [text(batch.source), text(batch.target)] as const;
    };
    expect(row(0)[0]).toContain('<extra_id_0>');
    expect(row(0)[1]).toMatch(/^<extra_id_0>/);
    for (const i of [2, 3, 4, 5, 6, 7]) {
      const [source, target] = row(i);
      const changed = !source.includes(plain[0] as string);
      expect(target).toBe(changed ? 'unacceptable</s>' : 'acceptable</s>');
    }
    expect(row(8)[0]).toContain('classify the sentiment of the text:');
    expect(row(8)[1]).toMatch(/^(positive|negative)<\/s>$/);
  });
});

describe('scores', () => {
  test('Matthews’ correlation is that of two yes–no numbers', () => {
    const draws = hostUniform(key(5), 400);
    const yes = range(200).map((i) => Number((draws[i] as number) < 0.6));
    const real = range(200).map((i) =>
      Number((draws[200 + i] as number) < 0.3 + 0.4 * (yes[i] as number)),
    );
    const mean = (xs: readonly number[]) => xs.reduce((s, x) => s + x, 0) / xs.length;
    const [my, mr] = [mean(yes), mean(real)];
    const covariance = mean(yes.map((y, i) => (y - my) * ((real[i] as number) - mr)));
    const sd = (xs: readonly number[], m: number) => Math.sqrt(mean(xs.map((x) => (x - m) ** 2)));
    const both = mean(yes.map((y, i) => y * (real[i] as number)));
    expect(matthews({ predicted: my, real: mr, both })).toBeCloseTo(
      covariance / (sd(yes, my) * sd(real, mr)),
      12,
    );
    expect(matthews({ predicted: 1, real: 0.5, both: 0.5 })).toBe(0);
    expect(matthews({ predicted: 0.3, real: 0.3, both: 0.3 })).toBeCloseTo(1, 12);
  });

  const weights = initEncoderDecoder(MODEL, key(1));
  const batch = {
    source: padded(
      [
        [30, 31, 32, 1],
        [40, 1],
      ],
      6,
    ),
    target: padded(
      [
        [50, 1],
        [60, 61, 1],
      ],
      3,
    ),
    label: ints([0, 1], [2]),
  };

  test('a class is the likelier word’s; the loss is over the words alone', async () => {
    const backend = referenceBackend();
    const scores = (ids: readonly number[]) =>
      evaluate(
        (w: never, x: never) => classScores(ids)(w, x),
        backend,
        weights as never,
        batch as never,
      ) as unknown as Promise<Record<string, Parameters<typeof toNumbers>[0]>>;
    const [a, b] = [await scores([50, 60]), await scores([60, 50])];
    const numbers = (s: typeof a, name: string) => toNumbers(s[name] as never);
    // With the words exchanged every answer is the other one.
    expect(numbers(a, 'predicted').map((x) => 1 - x)).toEqual(numbers(b, 'predicted'));
    for (const s of [a, b]) {
      const loss = numbers(s, 'loss');
      numbers(s, 'correct').forEach((correct, i) => {
        expect((loss[i] as number) < Math.LN2).toBe(correct === 1);
      });
    }
    // −ln p and −ln(1 − p).
    numbers(a, 'loss').forEach((x, i) => {
      expect(Math.exp(-x) + Math.exp(-(numbers(b, 'loss')[i] as number))).toBeCloseTo(1, 10);
    });
  });

  test('padding of source and target changes nothing', async () => {
    const loss = async (s: number, t: number) => {
      const x = {
        source: padded(
          [
            [30, 31, 32, 1],
            [40, 1],
          ],
          s,
        ),
        target: padded(
          [
            [50, 1],
            [60, 61, 1],
          ],
          t,
        ),
      };
      const f = (w: never, y: never) => textLoss(w, y, evaluationContext());
      return toNumbers(
        (await evaluate(f, referenceBackend(), weights as never, x as never)) as never,
      )[0] as number;
    };
    expect(await loss(9, 5)).toBeCloseTo(await loss(4, 3), 10);
  });
});

describe('cells and data', () => {
  test('a flat version differs in σ alone; what a method alone knows is an option', () => {
    const { sigma, ...others } = settingsOf('flat-lora');
    expect(others).toEqual(settingsOf('lora'));
    expect(sigma).toBeGreaterThan(0);
    const cell = textCell({ quick: true }, 'cola', 'lora', 3, { ratio: 4, way: 'x' });
    expect(methodSettings(cell)).toMatchObject({ rank: 8, alpha: 16, options: { ratio: 4 } });
  });

  test('generated tasks: half of each class, no test sentence among the training ones', async () => {
    const task = await loadTask('cola', tokenizer, undefined);
    const sum = toNumbers(task.test.label).reduce((s, x) => s + x, 0);
    expect(2 * sum).toBe(task.test.label.shape[0]);
    expect(task.outOfDomain?.label.shape[0]).toBe(40);
    const [one, other] = [trainingExamples(task, 10, 0), trainingExamples(task, 10, 1)];
    expect(one.source.shape[0]).toBe(10);
    expect(toNumbers(one.source)).not.toEqual(toNumbers(other.source));
  });

  test('halves have no row in common; sentences that another set has are left out', () => {
    const toy = toyTexts('sentiment', 7, 1);
    const [even, odd] = [half(toy, 0).examples, half(toy, 1).examples];
    expect([even.length, odd.length]).toEqual([4, 3]);
    expect(even.every(({ label }) => label === 0) && odd.every(({ label }) => label === 1)).toBe(
      true,
    );
    const set = (...given: string[]) => ({
      name: '',
      classes: [],
      examples: given.map((text) => ({ text, label: 0 })),
    });
    const kept = unseen(set("It 's good .", 'not so'), set('other', "it's good")).examples;
    expect(kept.map(({ text }) => text)).toEqual(['not so']);
  });

  test('every cell of the quick forms has a different identity', () => {
    const surroundings = { quick: true, seeds: 2, dataDir: undefined };
    for (const experiment of [table1, figure5a]) {
      const cells = experiment.cells(surroundings).map((cell: Cell) => JSON.stringify(cell));
      expect(new Set(cells).size).toBe(cells.length);
    }
  });
});

test('a run: learns the generated task, and repeats bit for bit', async () => {
  const surroundings = { quick: true, seeds: 1, dataDir: undefined };
  const premises = await prepareText(surroundings);
  const backend = await wasmBackend({ threads: 1 });
  const run = async (steps: number) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'text-'));
    const { signal } = new AbortController();
    const context = { ...surroundings, backend, folder, signal, progress: () => undefined };
    const cell = textCell(surroundings, 'cola', 'flat-lora', 0, { steps });
    const measures = await runCell(cell, premises, context);
    rmSync(folder, { recursive: true });
    return measures;
  };
  const [one, many] = [await run(1), await run(20)];
  expect(await run(20)).toEqual(many);
  expect(many?.trainLoss as number).toBeLessThan((one?.trainLoss as number) - 0.02);
  expect(Object.keys(many ?? {})).toEqual(expect.arrayContaining(['matthews', 'otherMatthews']));
  await backend.dispose();
}, 60_000);
