/** The decoder experiments: word problems, Alpaca's format, what the loss asks for, and short runs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationContext, type HostArray, key, range } from '../../src/autodiff/index.js';
import { evaluate, referenceBackend, wasmBackend } from '../../src/kernels/index.js';
import { decoderCell, settingsOf } from '../../src/paper/decoder/cells.js';
import { encodeExample, loadTask, trainingExamples } from '../../src/paper/decoder/data.js';
import { alpacaPrompt, simpleInstruction } from '../../src/paper/decoder/instructions.js';
import { decoderLoss, IGNORED, tokenLosses, toyDecoder } from '../../src/paper/decoder/model.js';
import { loadCodec } from '../../src/paper/decoder/own.js';
import { answerInWords, wordProblem } from '../../src/paper/decoder/problems.js';
import { exactMatch, prepareDecoder, runCell } from '../../src/paper/decoder/run.js';
import { table3 } from '../../src/paper/experiments/table3.js';
import { table4 } from '../../src/paper/experiments/table4.js';
import { takeRows } from '../../src/training/index.js';
import { toNumbers } from '../support/numeric.js';

const { tokenizer, config, weights } = toyDecoder();

describe('word problems', () => {
  test.each([1, 2] as const)('%d steps: the story, the notes and the answer agree', (steps) => {
    for (const n of range(300)) {
      const { question, answer } = wordProblem(key(3), n, steps);
      expect(`${question} ${answer}`).not.toMatch(/undefined|NaN/);
      const start = Number(/has (\d+) /.exec(question)?.[1]);
      const changes = [...question.matchAll(/gives (\d+) more|takes (\d+) away/g)].map((m) =>
        m[1] === undefined ? -Number(m[2]) : Number(m[1]),
      );
      expect(changes).toHaveLength(steps);
      const result = changes.reduce((held, change) => held + change, start);
      expect(answerInWords(answer)).toBe(String(result));
      expect(result).toBeGreaterThanOrEqual(0);
      expect(result).toBeLessThanOrEqual(18);
      const notes = [...answer.matchAll(/(\d+) (and|less) (\d+) is (\d+)\./g)];
      expect(notes).toHaveLength(steps);
      for (const [, a, word, b, c] of notes) {
        expect(Number(a) + (word === 'and' ? Number(b) : -Number(b))).toBe(Number(c));
      }
    }
  });

  test('the answer is still found when our own tokenizer, which knows no capitals, has read it', async () => {
    const codec = await loadCodec();
    for (const n of range(100)) {
      const { answer } = wordProblem(key(4), n, 2);
      const read = codec.decode(codec.encode(answer));
      expect(answerInWords(read)).toMatch(/^\d+$/);
      expect(answerInWords(read)).toBe(answerInWords(answer));
    }
  });

  test('no test question is among the training ones', async () => {
    const { pool, questions } = await loadTask('one-step', tokenizer, undefined);
    const rows = (pool.tokens.shape as number[])[0] as number;
    const trained = range(rows).map((row) => {
      const ids = toNumbers(pool.tokens.pick(row, null) as HostArray);
      return tokenizer.decode(ids).split('Answer:')[0];
    });
    expect(new Set(trained).size).toBe(rows);
    for (const { prompt } of questions) {
      expect(trained).not.toContain(tokenizer.decode(prompt).split('Answer:')[0]);
    }
  });
});

describe('instructions', () => {
  test("Alpaca's two templates", () => {
    const [without, with_] = [
      alpacaPrompt({ instruction: 'Do it.', input: '' }),
      alpacaPrompt({ instruction: 'Do it.', input: 'This.' }),
    ];
    expect(without).toBe(
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nDo it.\n\n### Response:',
    );
    expect(with_).toContain('paired with an input that provides further context.');
    expect(with_).toMatch(/### Instruction:\nDo it\.\n\n### Input:\nThis\.\n\n### Response:$/);
  });

  test('outputs follow from inputs', () => {
    for (const n of range(100)) {
      const { input, output } = simpleInstruction(key(4), n);
      expect(input.includes(output)).toBe(true);
    }
  });
});

test('the loss asks for the response and the boundary behind it, nothing else', async () => {
  const task = await loadTask('simple', tokenizer, undefined);
  const { tokens, targets } = task.test;
  for (const [row, { prompt, response }] of task.questions.entries()) {
    const asked = toNumbers(targets.pick(row, null) as HostArray);
    const ids = toNumbers(tokens.pick(row, null) as HostArray);
    const first = asked.findIndex((id) => id !== IGNORED);
    expect(first).toBe(prompt.length - 1);
    expect(ids.slice(0, prompt.length)).toEqual([...prompt]);
    const wanted = asked.filter((id) => id !== IGNORED);
    expect(wanted).toEqual([...tokenizer.encode(response), tokenizer.boundary]);
    // Each target is the token after it.
    expect(ids.slice(first + 1, first + wanted.length)).toEqual(wanted.slice(0, -1));
  }
  // Two examples are enough for the judge, which is slow.
  const judged = takeRows(task.test, [0, 1]);
  const backend = referenceBackend();
  const loss = await evaluate(
    (w: never, x: never) => decoderLoss(config)(w, x, evaluationContext()),
    backend,
    weights as never,
    judged as never,
  );
  const { sum, count } = (await evaluate(
    (w: never, x: never) => tokenLosses(config)(w, x),
    backend,
    weights as never,
    judged as never,
  )) as unknown as Record<string, HostArray>;
  const total = (x: HostArray | undefined) => toNumbers(x as HostArray).reduce((a, b) => a + b, 0);
  const expected = task.questions
    .slice(0, 2)
    .reduce((n, q) => n + tokenizer.encode(q.response).length + 1, 0);
  expect(total(count)).toBe(expected);
  expect(total(sum) / total(count)).toBeCloseTo(
    toNumbers(loss as unknown as HostArray)[0] as number,
    10,
  );
});

test('an example: boundary, prompt, response, boundary', () => {
  const { ids, from } = encodeExample(tokenizer, { prompt: 'a', response: 'b' });
  expect(ids[0]).toBe(tokenizer.boundary);
  expect(ids.at(-1)).toBe(tokenizer.boundary);
  expect(tokenizer.decode(ids.slice(from))).toBe('b');
});

test('windows of plain text: parts in their order, none in two of them', async () => {
  const { pool, test: held, validation } = await loadTask('shakespeare', tokenizer, undefined);
  const rows = [pool, validation, held].map((part) => toNumbers(part.targets).join());
  expect(new Set(rows).size).toBe(3);
  const seeds = [0, 1].map((seed) =>
    toNumbers(trainingExamples({ pool } as never, 5, seed).tokens),
  );
  expect(seeds[0]).not.toEqual(seeds[1]);
});

test('a flat version differs in σ alone; every cell has an identity of its own', () => {
  const { sigma, ...others } = settingsOf('flat-lora');
  expect(others).toEqual(settingsOf('lora'));
  expect(sigma).toBeGreaterThan(0);
  for (const quick of [true, false]) {
    for (const { cells } of [table3, table4]) {
      const all = cells({ quick, seeds: 2, dataDir: undefined }).map((cell) =>
        JSON.stringify(cell),
      );
      expect(new Set(all).size).toBe(all.length);
    }
  }
});

describe('runs', () => {
  const surroundings = { quick: true, seeds: 1, dataDir: undefined };
  const open = () => wasmBackend({ threads: 1 });

  test('exact match counts equal answers; a response without one is an error', async () => {
    const premises = await prepareDecoder(surroundings);
    const backend = await open();
    const task = await premises.task('simple', 'stories');
    const share = (answerOf: (text: string) => string) =>
      exactMatch(premises.decoders.stories, weights, { ...task, answerOf }, { backend });
    const right = task.questions.map(({ response }) => response);
    expect(await share(() => 'the same')).toBe(1);
    await expect(share(() => '')).rejects.toThrow('exactMatch: no answer in the response');
    expect(await share((text) => (right.includes(text) ? 'right' : 'wrong'))).toBe(0);
    await backend.dispose();
  });

  test('the quick form of both tables: learns, and repeats bit for bit', async () => {
    const premises = await prepareDecoder(surroundings);
    const backend = await open();
    const run = async (steps: number, task: 'simple' | 'one-step', method: string) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'decoder-'));
      const { signal } = new AbortController();
      const context = { ...surroundings, backend, folder, signal, progress: () => undefined };
      const cell = decoderCell(surroundings, { model: 'stories', task }, method, 0, { steps });
      const measures = await runCell(cell, premises, context);
      rmSync(folder, { recursive: true });
      return { cell, measures: measures ?? {} };
    };
    const [short, long] = [await run(1, 'one-step', 'full'), await run(15, 'one-step', 'full')];
    expect(await run(15, 'one-step', 'full')).toEqual(long);
    expect(long.measures.trainLoss as number).toBeLessThan(
      (short.measures.trainLoss as number) - 0.1,
    );
    expect(short.measures.startLoss).toBe(long.measures.startLoss);
    const results = [long, await run(2, 'simple', 'flat-lora'), await run(2, 'simple', 'lora')];
    const [section] = table4.report(results, surroundings);
    expect(section?.tables.map(({ caption }) => caption)).toEqual([
      expect.stringContaining('Held-out loss (nats'),
      expect.stringContaining('Flat-LoRA minus LoRA'),
      expect.stringContaining('Exact match of greedily'),
      expect.stringContaining('Exact match, Flat-LoRA minus'),
      expect.stringContaining('All tasks'),
      expect.stringContaining("The paper's own"),
    ]);
    // The loss before training stands in a column of its own.
    const before = section?.tables[0]?.rows.find(
      ([name]) => name === 'Simple instructions (stories260K)',
    )?.[1];
    expect(Number(before)).toBeCloseTo(results[2]?.measures.startLoss as number, 1);
    await backend.dispose();
  }, 60_000);
});
