/** Files of questions with answers, and what is wrong with broken ones. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { finalAnswer, parseAlpaca, parseGsm8k, parseSeedTasks } from '../../src/data/index.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const rightOf = <A>(result: E.Either<unknown, A>): A => {
  if (E.isLeft(result)) throw new Error(JSON.stringify(result.left));
  return result.right;
};

test('GSM8K: a problem a line, blank lines left out', () => {
  const text =
    '{"question":"q?","answer":"1+1=<<1+1=2>>2\\n#### 2"}\n\n{"question":"r","answer":"s"}\n';
  const rows = rightOf(parseGsm8k(bytes(text), 'f'));
  expect(rows).toHaveLength(2);
  expect(finalAnswer(rows[0]?.answer ?? '')).toBe('2');
});

test('Alpaca: the input may be missing', () => {
  const text = '[{"instruction":"i","output":"o"},{"instruction":"j","input":"k","output":"l"}]';
  expect(rightOf(parseAlpaca(bytes(text), 'f'))).toEqual([
    { instruction: 'i', input: '', output: 'o' },
    { instruction: 'j', input: 'k', output: 'l' },
  ]);
});

test('seed tasks: the first instance', () => {
  const text =
    '{"id":"x","instruction":"i","instances":[{"input":"a","output":"b"},{"input":"c","output":"d"}]}';
  expect(rightOf(parseSeedTasks(bytes(text), 'f'))).toEqual([
    { instruction: 'i', input: 'a', output: 'b' },
  ]);
});

test.each([
  ['so it is\n#### 1,234', '1234'],
  ['#### -5', '-5'],
  ['####7 and more', '7'],
  ['#### 0.5', '0.5'],
  ['no answer', ''],
  ['####', ''],
])('the final answer of %j is %j', (text, answer) => {
  expect(finalAnswer(text)).toBe(answer);
});

test.each<[string, E.Either<unknown, unknown>, RegExp]>([
  [
    'a cut line',
    parseGsm8k(bytes('{"question":"q","answer":"a"}\n{"quest'), 'f'),
    /f: row 2: not JSON/,
  ],
  [
    'a missing field',
    parseGsm8k(bytes('{"question":"q"}'), 'f'),
    /f: row 1 has no texts "question"/,
  ],
  [
    'a number for a text',
    parseAlpaca(bytes('[{"instruction":1,"output":"o"}]'), 'f'),
    /row 1 has no/,
  ],
  ['an object for a list', parseAlpaca(bytes('{}'), 'f'), /f: holds no list/],
  [
    'no instances',
    parseSeedTasks(bytes('{"instruction":"i","instances":[]}'), 'f'),
    /row 1 has no/,
  ],
  ['null', parseSeedTasks(bytes('null'), 'f'), /row 1 has no/],
  ['an empty file', parseGsm8k(bytes(' \n'), 'f'), /f: the file is empty/],
  ['an empty list', parseAlpaca(bytes('[]'), 'f'), /f: the file is empty/],
  ['no UTF-8', parseGsm8k(Uint8Array.of(0xff), 'f'), /f: not a text in UTF-8/],
])('%s is told', (_, result, message) => {
  expect(E.isLeft(result) && JSON.parse(JSON.stringify(result.left)).message).toMatch(message);
});

const dataDir = process.env.FLATLORA_DATA;
const withData =
  dataDir !== undefined && existsSync(path.join(dataDir, 'gsm8k')) ? test : test.skip;

withData('the official files: as many rows as they are said to have, all with an answer', () => {
  const read = (name: string) => new Uint8Array(readFileSync(path.join(dataDir as string, name)));
  const train = rightOf(parseGsm8k(read('gsm8k/train.jsonl'), 'train'));
  const tested = rightOf(parseGsm8k(read('gsm8k/test.jsonl'), 'test'));
  expect([train.length, tested.length]).toEqual([7473, 1319]);
  for (const { answer } of [...train, ...tested]) expect(finalAnswer(answer)).toMatch(/^-?[\d.]+$/);
  expect(rightOf(parseAlpaca(read('instructions/alpaca_en_demo.json'), 'a'))).toHaveLength(999);
  expect(rightOf(parseSeedTasks(read('instructions/seed_tasks.jsonl'), 's'))).toHaveLength(175);
});
