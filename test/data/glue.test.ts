/** GLUE's formats: what is read, odd lines, and what is refused with which words. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type * as E from 'fp-ts/lib/Either.js';
import {
  type DataError,
  loadTexts,
  parseCola,
  parseMnli,
  parseMrpc,
  parseQnli,
  parseRte,
  parseSentences,
  parseSst2,
  type TextDataset,
  type TextSplit,
  type TextTask,
} from '../../src/data/index.js';

const bytes = (text: string) => new TextEncoder().encode(text);
type Parsed = E.Either<DataError, TextDataset>;
const read = (parsed: Parsed) => (parsed._tag === 'Right' ? parsed.right : parsed.left.message);

describe('formats', () => {
  test('SST-2: heading, label last, spaces at the end', () => {
    const file = bytes('sentence\tlabel\na charming film \t1\nno wit , only gags\t0\n');
    expect(read(parseSst2(file, 'train.tsv'))).toEqual({
      name: 'train.tsv',
      classes: ['negative', 'positive'],
      examples: [
        { text: 'a charming film', label: 1 },
        { text: 'no wit , only gags', label: 0 },
      ],
    });
  });

  test('CoLA: no heading, the sentence last', () => {
    const file = bytes("gj04\t1\t\tI can't.\r\nclc95\t0\t*\tThem seen it.\r\n");
    expect(read(parseCola(file, 'dev'))).toMatchObject({
      examples: [
        { text: "I can't.", label: 1 },
        { text: 'Them seen it.', label: 0 },
      ],
    });
  });

  test('MRPC: byte order mark, quotation marks that never close', () => {
    const heading = '\uFEFFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n';
    const file = bytes(
      `${heading}1\t1\t2\t" A pie , " he said\t" A pie\n0\t3\t4\tThis .\tThat "\n`,
    );
    expect(read(parseMrpc(file, 'dev.tsv'))).toMatchObject({
      examples: [
        { text: '" A pie , " he said', second: '" A pie', label: 1 },
        { text: 'This .', second: 'That "', label: 0 },
      ],
    });
  });

  test('RTE and QNLI: words as labels', () => {
    const rows = '0\tOne .\tTwo .\tnot_entailment\n1\tThree .\tFour .\tentailment';
    for (const parse of [parseRte, parseQnli]) {
      expect(read(parse(bytes(`index\ta\tb\tlabel\n${rows}`), 'dev.tsv'))).toMatchObject({
        examples: [{ label: 1 }, { text: 'Three .', second: 'Four .', label: 0 }],
      });
    }
  });

  test('MNLI: one object a line; a separator of Unicode ends no line', () => {
    const row = { premise: 'One\u2028two', hypothesis: ' Three ', label: 'contradiction' };
    expect(read(parseMnli(bytes(`${JSON.stringify(row)}\n`), 'dev'))).toMatchObject({
      examples: [{ text: 'One\u2028two', second: 'Three', label: 2 }],
    });
  });

  test('sentences of one class', () => {
    const parse = parseSentences(['negative', 'positive'], 1);
    expect(read(parse(bytes('good .\nfine .\n'), 'pos'))).toMatchObject({
      examples: [
        { text: 'good .', label: 1 },
        { text: 'fine .', label: 1 },
      ],
    });
    expect(read(parse(bytes('good .\n\nfine .'), 'pos'))).toBe('pos: line 2 is empty');
  });
});

describe('what is refused', () => {
  const heading = 'sentence\tlabel\n';
  const cases: readonly (readonly [string, Parsed, string])[] = [
    [
      'a field too many',
      parseSst2(bytes(`${heading}a\t1\nb\tc\t0`), 'f'),
      'f: line 3 has 3 fields',
    ],
    ['no label', parseSst2(bytes(`${heading}a\t`), 'f'), 'f: line 2 has the label ""'],
    ['another label', parseSst2(bytes(`${heading}a\t7`), 'f'), 'the label "7", expected 0 or 1'],
    ['no text', parseSst2(bytes(`${heading} \t1`), 'f'), 'f: line 2 has an empty text'],
    ['a blank line', parseSst2(bytes(`${heading}a\t1\n\nb\t0`), 'f'), 'f: line 3 has 1 fields'],
    ['nothing', parseSst2(bytes(' \n'), 'f'), 'f: the file is empty'],
    ['a heading alone', parseSst2(bytes(heading), 'f'), 'f: there are no rows'],
    ['Latin-1', parseSst2(Uint8Array.of(0xe9, 0x09, 0x31), 'f'), 'f: not a text in UTF-8'],
    ['no JSON', parseMnli(bytes('{"premise": "a"'), 'f'), 'f: line 1 is not JSON'],
    ['other JSON', parseMnli(bytes('null'), 'f'), 'f: line 1 lacks premise'],
    [
      'an unknown class',
      parseMnli(bytes('{"premise":"a","hypothesis":"b","label":"-"}'), 'f'),
      'f: line 1 lacks',
    ],
  ];
  test.each(cases)('%s', (_, parsed, message) => {
    expect(read(parsed)).toContain(message);
    expect(parsed).toMatchObject({ left: { kind: 'data' } });
  });
});

describe('by name', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'glue-'));
  afterAll(() => rmSync(dir, { recursive: true }));

  test('both files of a set without splits', async () => {
    mkdirSync(path.join(dir, 'polarity'));
    writeFileSync(path.join(dir, 'polarity', 'rt-polarity.neg'), 'dull .\n');
    writeFileSync(path.join(dir, 'polarity', 'rt-polarity.pos'), 'fine .\n');
    expect(read(await loadTexts('polarity', 'train', dir)())).toEqual({
      name: 'polarity/train',
      classes: ['negative', 'positive'],
      examples: [
        { text: 'dull .', label: 0 },
        { text: 'fine .', label: 1 },
      ],
    });
  });

  test('a missing file names where it comes from; a split that there is not', async () => {
    expect(read(await loadTexts('rte', 'dev', dir)())).toMatch(/RTE.dev.tsv.*ENOENT.*gluebench/);
    expect(read(await loadTexts('qnli', 'train', dir)())).toBe(
      'qnli: has no split train, expected dev',
    );
  });
});

const dataDir = process.env.FLATLORA_DATA ?? '';
const COUNTS: readonly (readonly [TextTask, TextSplit, readonly number[]])[] = [
  ['sst2', 'train', [29_780, 37_569]],
  ['sst2', 'dev', [428, 444]],
  ['cola', 'train', [2528, 6023]],
  ['cola', 'dev', [162, 365]],
  ['cola', 'outOfDomain', [162, 354]],
  ['mrpc', 'train', [1194, 2473]],
  ['mrpc', 'dev', [129, 279]],
  ['rte', 'train', [1249, 1241]],
  ['rte', 'dev', [146, 131]],
  ['qnli', 'dev', [2702, 2761]],
  ['mnli', 'dev', [3479, 3123, 3213]],
  ['polarity', 'train', [5331, 5331]],
  ['subjectivity', 'train', [5000, 5000]],
];
(existsSync(path.join(dataDir, 'glue')) ? describe : describe.skip)('official files', () => {
  test.each(COUNTS)('%s, %s: as many examples of each class', async (task, split, counts) => {
    const loaded = await loadTexts(task, split, dataDir)();
    if (loaded._tag === 'Left') throw new Error(loaded.left.message);
    const { examples, classes } = loaded.right;
    expect(classes.map((_, c) => examples.filter(({ label }) => label === c).length)).toEqual(
      counts,
    );
  });
});
