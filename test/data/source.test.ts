import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { key } from '../../src/autodiff/random/keys.js';
import {
  type DatasetName,
  describeProvenance,
  loadDataset,
  type SourceOptions,
  type Split,
} from '../../src/data/index.js';
import { RECIPES } from '../../src/data/recipes.js';
import { ascii, message, ok } from './helpers.js';

let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'flatlora-test-'));
});

afterEach(() => {
  rmSync(dataDir, { recursive: true, force: true });
});

const put = (name: string, bytes: string | Uint8Array): void => {
  const file = path.join(dataDir, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, bytes);
};

const load = (name: DatasetName, split: Split, options: SourceOptions) =>
  loadDataset(name, split, options)();

const drawn = { key: key(1), train: 30, test: 20 };
const optRow = `${Array.from({ length: 64 }, (_, i) => i % 17).join(',')},3\n`;

describe('loadDataset from a directory', () => {
  it('reads either name and says that the bytes are not the official ones', async () => {
    put('optdigits/train.csv', optRow);
    const { dataset, provenance } = ok(await load('optdigits', 'train', { dataDir, drawn }));
    expect(dataset.name).toBe('optdigits/train');
    expect(dataset.images.shape).toEqual([1, 8, 8]);
    expect(provenance).toMatchObject({ kind: 'directory', official: false });
    expect(describeProvenance(provenance)).toBe(
      `${path.join(dataDir, 'optdigits/train.csv')} (not the official bytes)`,
    );
    put('optdigits/optdigits.tra', optRow + optRow); // the official name comes first
    const again = ok(await load('optdigits', 'train', { dataDir }));
    expect(again.dataset.labels.size).toBe(2);
  });

  it('unpacks gzip files', async () => {
    const header = (axes: readonly number[]): number[] => [
      ...[0, 0, 8, axes.length],
      ...axes.flatMap((side) => [0, 0, 0, side]),
    ];
    const images = Uint8Array.of(...header([1, 1, 2]), 0, 255);
    put('mnist/t10k-images-idx3-ubyte.gz', gzipSync(images));
    put('mnist/t10k-labels-idx1-ubyte', Uint8Array.of(...header([1]), 8));
    const { dataset } = ok(await load('mnist', 'test', { dataDir }));
    expect([...dataset.images.data]).toEqual([0, 1]);
    expect([...dataset.labels.data]).toEqual([8]);
  });

  it('joins the batches of CIFAR-10', async () => {
    put('cifar10/batches.meta.txt', 'abcdefghij'.split('').join('\n'));
    for (const batch of [1, 2, 3, 4, 5]) {
      const row = new Uint8Array(3073);
      row[0] = batch;
      put(`cifar10/data_batch_${batch}.bin`, row);
    }
    const { dataset } = ok(await load('cifar10', 'train', { dataDir }));
    expect([...dataset.labels.data]).toEqual([1, 2, 3, 4, 5]);
    expect(dataset.classes[5]).toBe('f');
  });

  it('never replaces what is missing or broken', async () => {
    const missing = await load('optdigits', 'test', { dataDir, allowDownload: true, drawn });
    expect(message(missing)).toBe(
      `${dataDir}: has no optdigits/optdigits.tes and no optdigits/test.csv`,
    );
    put('semeion/semeion.data', '0 1');
    expect(message(await load('semeion', 'train', { dataDir, drawn }))).toBe(
      'semeion/train: line 1 has 2 fields, expected 266',
    );
    mkdirSync(path.join(dataDir, 'optdigits/optdigits.tra'), { recursive: true });
    expect(message(await load('optdigits', 'train', { dataDir }))).toContain('(EISDIR)');
    expect(message(await load('semeion', 'test', { dataDir }))).toBe(
      'semeion: has no official test split, use splitByClass',
    );
  });
});

describe('the official CIFAR archives', () => {
  /** A tar archive of the given members, gzipped. */
  const archive = (members: Readonly<Record<string, Uint8Array>>): Uint8Array => {
    const blocks = Object.entries(members).flatMap(([name, data]) => {
      const header = new Uint8Array(512);
      header.set(ascii(name), 0);
      header.set(ascii(data.length.toString(8)), 124);
      const padded = new Uint8Array(Math.ceil(data.length / 512) * 512);
      padded.set(data);
      return [header, padded];
    });
    return new Uint8Array(gzipSync(Buffer.concat([...blocks, new Uint8Array(1024)])));
  };

  it('CIFAR-100: takes the fine label and the names', () => {
    const row = new Uint8Array(3074);
    row.set([7, 61]);
    const names = Array.from({ length: 100 }, (_, i) => `name${i}`).join('\n');
    const packed = archive({
      'cifar-100-binary/fine_label_names.txt': ascii(names),
      'cifar-100-binary/test.bin': row,
    });
    const { parseRemote } = RECIPES.cifar100.test;
    const set = ok(parseRemote('c', [packed]));
    expect(set.classes[set.labels.get(0)]).toBe('name61');
    expect(message(RECIPES.cifar100.train.parseRemote('c', [packed]))).toBe(
      "c: no member 'cifar-100-binary/train.bin'",
    );
    expect(message(parseRemote('c', [packed.subarray(0, 40)]))).toContain('truncated');
  });

  it('CIFAR-10: names first, then the batches', () => {
    const row = new Uint8Array(3073);
    row[0] = 9;
    const packed = archive({
      'cifar-10-batches-bin/test_batch.bin': row,
      'cifar-10-batches-bin/batches.meta.txt': ascii('a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n'),
    });
    expect([...ok(RECIPES.cifar10.test.parseRemote('c', [packed])).labels.data]).toEqual([9]);
  });
});

describe('loadDataset without a directory', () => {
  it('draws digits where that is permitted, each split and hand with its own draws', async () => {
    const train = ok(await load('optdigits', 'train', { drawn }));
    const test = ok(await load('optdigits', 'test', { drawn }));
    const target = ok(await load('semeion', 'train', { drawn }));
    expect(train.provenance).toEqual({ kind: 'drawn', hand: 'upright' });
    expect(target.provenance).toEqual({ kind: 'drawn', hand: 'slanted' });
    expect(describeProvenance(train.provenance)).toBe('drawn by this library (upright hand)');
    expect([train, test, target].map(({ dataset }) => dataset.images.shape[0])).toEqual([
      30, 20, 30,
    ]);
    expect([...test.dataset.labels.data]).not.toEqual([...train.dataset.labels.data.slice(0, 20)]);
    expect([...target.dataset.labels.data]).not.toEqual([...train.dataset.labels.data]);
  });

  it('uses neither the network nor drawings unasked', async () => {
    expect(message(await load('mnist', 'train', {}))).toBe(
      'mnist: no directory given, downloads not allowed, drawn digits not asked for',
    );
    expect(message(await load('cifar100', 'train', { drawn }))).toContain('has no drawn stand-in');
    expect(message(await load('mnist', 'train', { allowDownload: true }))).toBe(
      'mnist: allowDownload needs a cacheDir',
    );
  });
});
