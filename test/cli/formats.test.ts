/**
 * Every format of data with every kind of model: training runs, the adapter is read again, and merged into
 * the base it gives the same loss.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { foldIn, hostBits, key, range } from '../../src/autodiff/index.js';
import { at, flatlora, json, removeFolder, tinyModels, words } from './support.js';

const COUNT = 24;
const rows = range(COUNT);
const bytes = (n: number, size: number) =>
  Uint8Array.from(hostBits(foldIn(key(3), n), size), (w) => w % 256);

const RECORDS = rows.map((n) => ({
  text: words(n, 4),
  answer: words(n + 50, 2),
  label: String(n % 3),
}));
const FIELDS = ['text', 'answer', 'label'] as const;
const table = (separator: string, named: boolean) =>
  [
    ...(named ? [FIELDS.join(separator)] : []),
    ...RECORDS.map((r) => FIELDS.map((f) => r[f]).join(separator)),
    '',
  ].join('\n');

const word = (n: number) => {
  const made = new Uint8Array(4);
  new DataView(made.buffer).setUint32(0, n);
  return made;
};
const joined = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const idxImages = joined(
  Uint8Array.of(0, 0, 8, 3),
  word(COUNT),
  word(28),
  word(28),
  bytes(1, COUNT * 784),
);
const idxLabels = joined(
  Uint8Array.of(0, 0, 8, 1),
  word(COUNT),
  Uint8Array.from(rows, (n) => n % 10),
);
const cifar = (coarse: boolean) =>
  joined(
    ...rows.map((n) =>
      joined(...(coarse ? [Uint8Array.of(4)] : []), Uint8Array.of(n % 10), bytes(n, 3072)),
    ),
  );

beforeAll(async () => {
  tinyModels();
  mkdirSync(at('data'));
  const files: Readonly<Record<string, string | Uint8Array>> = {
    'records.jsonl': RECORDS.map((r) => JSON.stringify(r)).join('\n'),
    'records.json': JSON.stringify(RECORDS),
    'records.csv': table(',', true),
    'records.tsv': table('\t', true),
    'nameless.tsv': table('\t', false),
    'train-images-idx3-ubyte': idxImages,
    'train-labels-idx1-ubyte': idxLabels,
    'packed-images-idx3-ubyte.gz': gzipSync(idxImages),
    'packed-labels-idx1-ubyte.gz': gzipSync(idxLabels),
    'data_batch_1.bin': cifar(false),
    'train.bin.gz': gzipSync(cifar(true)),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(at('data', name), content);
  for (const label of range(4)) {
    mkdirSync(at('data', 'folder', `class${label}`), { recursive: true });
    for (const [n, kind] of (['png', 'jpeg', 'webp'] as const).entries()) {
      const raw = { width: 20, height: 14, channels: 3 } as const;
      const image = sharp(bytes(9 + 3 * label + n, 20 * 14 * 3), { raw }).toFormat(kind);
      writeFileSync(at('data', 'folder', `class${label}`, `${n}.${kind}`), await image.toBuffer());
    }
  }
});
afterAll(removeFolder);

const TABLES = ['records.jsonl', 'records.json', 'records.csv', 'records.tsv', 'nameless.tsv'];
const READS: Readonly<Record<string, readonly string[]>> = {
  llama: ['--template', 'say {text}', '--target', '{answer}'],
  t5_v1_0: ['--template', 'say {text}', '--target', '{answer}'],
  bert: ['--template', '{text}'],
  vit: [],
};
const CASES = [
  ...['llama', 't5_v1_0', 'bert'].flatMap((model) => TABLES.map((file) => [model, file])),
  ...[
    'folder',
    'train-images-idx3-ubyte',
    'packed-images-idx3-ubyte.gz',
    'data_batch_1.bin',
    'train.bin.gz',
  ].map((file) => ['vit', file]),
] as [string, string][];

test.each(CASES)('%s on %s', async (model, file) => {
  const named = file === 'nameless.tsv' ? ['--columns', FIELDS.join()] : [];
  const reads = [...(READS[model] as readonly string[]), ...named, '--threads', '1'];
  const run = at(`${model}-${file}`);
  const base = ['--model', at(model)];
  const data = ['--data', at('data', file), ...reads];
  const trained = await json(
    'finetune',
    ...base,
    '--train',
    at('data', file),
    ...reads,
    '--out',
    run,
    '--steps',
    '3',
    '--batch-size',
    '8',
    '--learning-rate',
    '0.02',
  );
  expect(trained).toMatchObject({ reason: 'completed', steps: 3 });
  const lossOf = async (...given: string[]) =>
    (await json('evaluate', ...given, ...data)).metrics.loss as number;
  const adapter = ['--adapter', `${run}/adapter`];
  const [before, after] = [await lossOf(...base), await lossOf(...base, ...adapter)];
  expect(Math.abs(after - before)).toBeGreaterThan(1e-4);
  await json('merge', ...base, ...adapter, '--out', `${run}/merged`);
  expect(await lossOf('--model', `${run}/merged`)).toBeCloseTo(after, 5);
});

test.each([
  ['the labels are missing', 'alone-images-idx3-ubyte', idxImages, /alone-labels-idx1-ubyte/],
  ['the file is cut', 'cut.bin', cifar(false).subarray(0, 5000), /5000 bytes, no whole number/],
  ['gzip is damaged', 'bad.bin.gz', gzipSync(cifar(true)).subarray(0, 900), /bad\.bin\.gz/],
])('a sentence where %s', async (_, name, content, message) => {
  writeFileSync(at('data', name), content);
  const { code, err } = await flatlora(
    'finetune',
    '--model',
    at('vit'),
    '--train',
    at('data', name),
    '--out',
    at('never'),
  );
  expect(code).toBe(3);
  expect(err).toMatch(message);
});
