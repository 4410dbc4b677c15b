/** Resizing as Pillow does it, to the bit; `preprocessor_config.json`; hostile image files. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import sharp from 'sharp';
import {
  decodeImage,
  imageProcessorOf,
  listImages,
  processImage,
  resizeImage,
} from '../../src/data/index.js';

interface Case {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly filter: 'bilinear' | 'bicubic';
  readonly toWidth: number;
  readonly toHeight: number;
  readonly pixels: readonly number[];
  readonly expected: readonly number[];
}

const CASES: readonly Case[] = JSON.parse(
  readFileSync(new URL('../fixtures/images/pillow.json', import.meta.url), 'utf8'),
);

test.each(CASES.map((c, i) => [i, c] as const))('Pillow, case %i', (_, c) => {
  const found = resizeImage(
    { ...c, pixels: Uint8Array.from(c.pixels) },
    { width: c.toWidth, height: c.toHeight },
    c.filter,
  );
  expect(Array.from(found.pixels)).toEqual(c.expected);
});

const VIT = {
  do_resize: true,
  size: { height: 2, width: 2 },
  resample: 2,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.25, 0.5],
};

const image = { width: 2, height: 2, channels: 3, pixels: Uint8Array.from([...Array(12).keys()]) };

test('scaled and normalised per channel', () => {
  const processor = imageProcessorOf(VIT);
  if (E.isLeft(processor)) throw new Error(processor.left.message);
  const { data, height, width } = processImage(image, processor.right);
  expect([height, width]).toEqual([2, 2]);
  expect(data[4]).toBeCloseTo((4 / 255 - 0.5) / 0.25, 6);
  expect(data[11]).toBeCloseTo((11 / 255 - 0.5) / 0.5, 6);
});

test('the shorter side, then the middle', () => {
  const processor = imageProcessorOf({
    ...VIT,
    size: { shortest_edge: 2 },
    do_center_crop: true,
    crop_size: { height: 2, width: 2 },
    do_normalize: false,
  });
  if (E.isLeft(processor)) throw new Error(processor.left.message);
  const wide = {
    width: 4,
    height: 2,
    channels: 1,
    pixels: Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]),
  };
  const { data } = processImage(wide, processor.right);
  expect(Array.from(data, (x) => Math.round(x * 255))).toEqual([1, 2, 5, 6]);
});

test.each([
  [{ ...VIT, resample: 1 }, /resample is 1, expected 2 or 3/],
  [{ ...VIT, size: {} }, /size is missing/],
  [{ ...VIT, image_mean: 'x' }, /image_mean and image_std/],
  [null, /no object/],
])('what is no processor', (json, expected) => {
  const found = imageProcessorOf(json);
  expect(E.isLeft(found) && found.left.message).toMatch(expected);
});

describe('files', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'images-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('a folder of images, by class', async () => {
    for (const [name, colour] of [
      ['red', '#ff0000'],
      ['blue', '#0000ff'],
    ] as const) {
      mkdirSync(path.join(folder, name));
      const png = await sharp({ create: { width: 3, height: 2, channels: 3, background: colour } })
        .png()
        .toBuffer();
      writeFileSync(path.join(folder, name, 'a.png'), png);
    }
    const listed = await listImages(folder)();
    if (E.isLeft(listed)) throw new Error(listed.left.message);
    expect(listed.right.classes).toEqual(['blue', 'red']);
    const decoded = await decodeImage(listed.right.files[1]?.file ?? '', { channels: 3 })();
    if (E.isLeft(decoded)) throw new Error(decoded.left.message);
    expect(decoded.right).toMatchObject({ width: 3, height: 2, channels: 3 });
    expect(Array.from(decoded.right.pixels.slice(0, 3))).toEqual([255, 0, 0]);
    const grey = await decodeImage(listed.right.files[0]?.file ?? '', { channels: 1 })();
    expect(E.isRight(grey) && grey.right.pixels.length).toBe(6);
  });

  test('a bomb, a truncated file and a text are refused in one line', async () => {
    // 20,000 × 20,000 pixels of one colour are a small file.
    const header = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
    const bomb = Buffer.concat([
      header,
      Buffer.from('00004e2000004e200802000000', 'hex'),
      Buffer.alloc(64),
    ]);
    const whole = await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const files = {
      'bomb.png': bomb,
      'cut.png': whole.subarray(0, 60),
      'text.png': Buffer.from('hello'),
    };
    for (const [name, bytes] of Object.entries(files)) {
      const file = path.join(folder, name);
      writeFileSync(file, bytes);
      const found = await decodeImage(file, { channels: 3 })();
      expect([name, E.isLeft(found)]).toEqual([name, true]);
      if (E.isLeft(found)) {
        expect(found.left.message).toContain(name);
        expect(found.left.message).not.toContain('\n');
      }
    }
  });

  test('no folder', async () => {
    const found = await listImages(path.join(folder, 'nowhere'))();
    expect(E.isLeft(found) && found.left.message).toMatch(/nowhere: ENOENT/);
  });
});
