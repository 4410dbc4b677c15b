/** Records and templates; token sequences cut, padded, packed, and walked through by bucket. */

import fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { flatData, key, range } from '../../src/autodiff/index.js';
import {
  bucketedBatches,
  bucketLengths,
  cut,
  fillTemplate,
  IGNORED,
  packedRows,
  paddedRows,
  parseRecords,
} from '../../src/data/index.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string, file: string) => parseRecords(bytes(text), file);
const message = (result: E.Either<{ readonly message: string }, unknown>) =>
  E.isLeft(result) ? result.left.message : '';

describe('records', () => {
  const expected = E.right([
    { text: 'a "b", c', label: '1' },
    { text: 'd', label: '0' },
  ]);
  test('CSV with quotes and a byte order mark', () => {
    expect(read('\ufefftext,label\n"a ""b"", c",1\nd,0\n', 'x.csv')).toEqual(expected);
  });
  test('TSV, where a quotation mark is a character', () => {
    expect(read('text\tlabel\na "b", c\t1\nd\t0\n', 'x.tsv')).toEqual(expected);
  });
  test('JSON Lines and JSON', () => {
    expect(
      read('{"text":"a \\"b\\", c","label":"1"}\n\n{"text":"d","label":"0"}\n', 'x.jsonl'),
    ).toEqual(expected);
    expect(
      read('{"data":[{"text":"a \\"b\\", c","label":"1"},{"text":"d","label":"0"}]}', 'x.json'),
    ).toEqual(expected);
  });
  test.each([
    ['{"a":1}\n{', 'x.jsonl', /x.jsonl: line 2 is not JSON/],
    ['[1]', 'x.json', /item 1 is no object/],
    ['3', 'x.jsonl', /line 1 is no object/],
    ['a,b\n1\n', 'x.csv', /x.csv: row 2 has 1 fields, expected 2: a, b/],
    ['a,b\n1,"2\n', 'x.csv', /x.csv: row 2: Quoted field unterminated/],
    ['a', 'x.parquet', /ends in none of/],
  ])('%s', (text, file, expectation) => {
    expect(message(read(text, file))).toMatch(expectation);
  });
  test('not UTF-8', () => {
    expect(message(parseRecords(Uint8Array.of(0xff, 0xfe), 'x.csv'))).toMatch(
      /not a text in UTF-8/,
    );
  });
});

test('templates', () => {
  const record = { sentence: 'It works.', n: 3, list: [1] };
  expect(fillTemplate('say: {sentence} {n} {}', record, 'row 1')).toEqual(
    E.right('say: It works. 3 {}'),
  );
  expect(message(fillTemplate('{nothing}', record, 'row 1'))).toMatch(
    /row 1: there is no field "nothing", only sentence, n, list/,
  );
  expect(message(fillTemplate('{list}', record, 'row 1'))).toMatch(/is a list, expected a text/);
});

test('cutting keeps what is asked for', () => {
  const sequence = { ids: range(20), from: 15 };
  expect(cut({ ids: range(20), from: 5 }, 10)).toEqual({ ids: range(10), from: 5 });
  const found = cut(sequence, 8);
  expect(found.ids).toHaveLength(8);
  expect(found.ids.slice(found.from)).toEqual([15, 16, 17, 18]);
  expect(found.ids[found.from - 1]).toBe(14);
});

test('rows: padded, or packed without padding', () => {
  const sequences = [
    { ids: [5, 6, 7], from: 1 },
    { ids: [8, 9], from: 0 },
  ];
  const padded = paddedRows(sequences, 4, 0);
  expect(Array.from(flatData(padded.tokens))).toEqual([5, 6, 7, 0, 8, 9, 0, 0]);
  expect(Array.from(flatData(padded.labels))).toEqual([
    IGNORED,
    6,
    7,
    IGNORED,
    8,
    9,
    IGNORED,
    IGNORED,
  ]);
  expect(Array.from(flatData(padded.mask))).toEqual([1, 1, 1, 0, 1, 1, 0, 0]);
  const packed = packedRows(sequences, 2);
  expect(Array.from(flatData(packed.tokens))).toEqual([5, 6, 7, 8]);
  expect(Array.from(flatData(packed.labels))).toEqual([IGNORED, 6, 7, 8]);
  expect(() => packedRows(sequences, 6)).toThrow(/fill no row of 6/);
});

test('buckets: every example once an epoch, in rows that hold it; the same for the same key', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 50 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 4 }),
      (lengths, batchSize, count) => {
        const buckets = bucketLengths(lengths, count);
        const batches = bucketedBatches(key(3), lengths, batchSize, buckets);
        const seen = new Set<number>();
        for (let step = 0; seen.size < lengths.length && step < 200; step++) {
          const { rows, length } = batches(step);
          expect(rows).toHaveLength(batchSize);
          for (const row of rows) {
            expect(lengths[row]).toBeLessThanOrEqual(length);
            seen.add(row);
          }
          expect(bucketedBatches(key(3), lengths, batchSize, buckets)(step)).toEqual({
            rows,
            length,
          });
        }
        expect(seen.size).toBe(lengths.length);
      },
    ),
    { numRuns: 60, seed: 11 },
  );
});
