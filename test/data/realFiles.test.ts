/**
 * The real files, where FLATLORA_DATA names a directory that has them; skipped (and counted as
 * skipped) elsewhere.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type DatasetName,
  loadDataset,
  OPTDIGITS_FILES,
  parseSemeion,
  resizeBilinear,
  SEMEION_FILE,
  type Split,
  sha256,
} from '../../src/data/index.js';
import { ascii, centroidAccuracy, ok } from './helpers.js';

const dataDir = process.env.FLATLORA_DATA ?? '';
const withData = dataDir === '' ? describe.skip : describe;

const load = async (name: DatasetName, split: Split) =>
  ok(await loadDataset(name, split, { dataDir })());

const sameLabels = (a: Int32Array, b: Int32Array): boolean =>
  a.length === b.length && a.every((label, i) => label === b[i]);

withData('real files (FLATLORA_DATA)', () => {
  it.each([
    ['optdigits', 'train', 3823, [376, 389, 380, 389, 387, 376, 377, 387, 380, 382]],
    ['optdigits', 'test', 1797, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]],
    ['semeion', 'train', 1593, [161, 162, 159, 159, 161, 159, 161, 158, 155, 158]],
    ['mnist', 'test', 10000, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]],
    ['fashion-mnist', 'test', 10000, Array.from({ length: 10 }, () => 1000)],
  ] as const)('%s/%s has the published class counts', async (name, split, count, perClass) => {
    const { dataset, provenance } = await load(name, split);
    const counts = dataset.classes.map((_, c) => dataset.labels.data.filter((l) => l === c).length);
    expect(dataset.labels.size).toBe(count);
    expect(counts).toEqual(perClass);
    // semeion may lie there in short notation; the next test is about it
    if (name !== 'semeion') expect(provenance).toMatchObject({ official: true });
  });

  it('semeion, written in the official notation, has the pinned hash', () => {
    const bytes = readFileSync(path.join(dataDir, SEMEION_FILE.path));
    const { images, labels } = ok(parseSemeion(new Uint8Array(bytes)));
    const lines = Array.from({ length: labels.size }, (_, n) => {
      const pixels = Array.from(images.data.subarray(n * 256, (n + 1) * 256), (v) => v.toFixed(4));
      const marks = Array.from({ length: 10 }, (_u, i) => (i === labels.get(n) ? '1' : '0'));
      return `${[...pixels, ...marks].join(' ')} \r\n`;
    });
    const official = ascii(lines.join(''));
    expect(official.length).toBe(SEMEION_FILE.bytes);
    expect(sha256(official)).toBe(SEMEION_FILE.sha256);
  });

  it('a cache that holds the official files is enough to load without the network', async () => {
    const cacheDir = mkdtempSync(path.join(tmpdir(), 'flatlora-test-'));
    try {
      const { dataset, provenance } = await load('optdigits', 'test');
      const [file = ''] = provenance.kind === 'directory' ? provenance.files : [];
      mkdirSync(path.join(cacheDir, 'optdigits'));
      copyFileSync(file, path.join(cacheDir, OPTDIGITS_FILES.test.path));
      const cached = ok(
        await loadDataset('optdigits', 'test', { allowDownload: true, cacheDir, timeoutMs: 500 })(),
      );
      expect(cached.provenance.kind).toBe('download');
      expect(sameLabels(cached.dataset.labels.data, dataset.labels.data)).toBe(true);
    } finally {
      rmSync(cacheDir, { recursive: true, force: true });
    }
  });

  it('known pixels: the first row of optdigits.tra and of semeion.data', async () => {
    const opt = (await load('optdigits', 'train')).dataset;
    const first = Array.from(opt.images.data.subarray(0, 8), (value) => value * 16);
    expect(first).toEqual([0, 1, 6, 15, 12, 1, 0, 0]);
    expect(opt.labels.get(0)).toBe(0);
    const semeion = (await load('semeion', 'train')).dataset;
    expect([...semeion.images.data.subarray(0, 16)].join('')).toBe('0000001111111100');
    expect(semeion.labels.get(0)).toBe(0);
  });

  it('CIFAR-100 subset: fine labels, 50 of each for training', async () => {
    const { dataset } = await load('cifar100', 'train');
    expect(dataset.images.shape).toEqual([5000, 32, 32, 3]);
    expect(dataset.classes[99]).toBe('worm');
    const counts = dataset.classes.map((_, c) => dataset.labels.data.filter((l) => l === c).length);
    expect(new Set(counts)).toEqual(new Set([50]));
  });

  it('optdigits to semeion is a change of domain', async () => {
    const [train, test, target] = [
      (await load('optdigits', 'train')).dataset,
      (await load('optdigits', 'test')).dataset,
      (await load('semeion', 'train')).dataset,
    ].map((set) => ({ ...set, images: resizeBilinear(set.images, 16, 16) })) as [
      Awaited<ReturnType<typeof load>>['dataset'],
      Awaited<ReturnType<typeof load>>['dataset'],
      Awaited<ReturnType<typeof load>>['dataset'],
    ];
    expect(centroidAccuracy(train, test)).toBeGreaterThan(0.85);
    expect(centroidAccuracy(train, target)).toBeLessThan(0.6);
  });
});
