import { createHash } from 'node:crypto';
import { key } from '../../src/autodiff/random/keys.js';
import { DRAWN_SIDE, drawnDigits, GLYPHS, type Hand } from '../../src/data/index.js';
import { centroidAccuracy } from './helpers.js';

const HANDS: readonly Hand[] = ['upright', 'slanted'];

const fingerprint = (values: Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex')
    .slice(0, 16);

describe('drawn digits', () => {
  it.each(HANDS)('%s: the same key gives the same bits, another key others', (hand) => {
    const a = drawnDigits({ hand, count: 30, key: key(3) });
    const b = drawnDigits({ hand, count: 30, key: key(3) });
    const c = drawnDigits({ hand, count: 30, key: key(4) });
    expect(fingerprint(a.images.data)).toBe(fingerprint(b.images.data));
    expect(a.labels.data).toEqual(b.labels.data);
    expect(fingerprint(a.images.data)).not.toBe(fingerprint(c.images.data));
  });

  it('keeps its bits from version to version (a changed drawing changes every result)', () => {
    const prints = HANDS.map((hand) =>
      fingerprint(drawnDigits({ hand, count: 20, key: key(0) }).images.data),
    );
    expect(prints).toEqual(FINGERPRINTS);
  });

  it.each(HANDS)('%s: an image does not depend on how many are drawn', (hand) => {
    const few = drawnDigits({ hand, count: 7, key: key(5) });
    const many = drawnDigits({ hand, count: 25, key: key(5) });
    expect([...many.images.data.subarray(0, few.images.size)]).toEqual([...few.images.data]);
    expect([...many.labels.data.subarray(0, 7)]).toEqual([...few.labels.data]);
  });

  it.each(HANDS)('%s: shapes, range and class balance', (hand) => {
    const { images, labels, classes } = drawnDigits({ hand, count: 205, key: key(6) });
    expect(images.shape).toEqual([205, DRAWN_SIDE, DRAWN_SIDE]);
    expect(classes).toHaveLength(10);
    expect(images.data.every((value) => value >= 0 && value <= 1)).toBe(true);
    const counts = classes.map((_, digit) => labels.data.filter((l) => l === digit).length);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(20);
    expect(Math.max(...counts)).toBeLessThanOrEqual(21);
    // every image has some ink and some paper
    for (let n = 0; n < 205; n++) {
      const ink = images.data.subarray(n * 256, n * 256 + 256).reduce((sum, v) => sum + v, 0) / 256;
      expect(ink).toBeGreaterThan(0.03);
      expect(ink).toBeLessThan(0.6);
    }
  });

  it('the slanted hand is binary, the upright one grey', () => {
    const values = (hand: Hand): Set<number> =>
      new Set(drawnDigits({ hand, count: 20, key: key(1) }).images.data);
    expect([...values('slanted')].sort()).toEqual([0, 1]);
    expect(values('upright').size).toBeGreaterThan(500);
  });

  it('the hands are two domains: class means learnt on one fail on the other', () => {
    const [upright, slanted] = HANDS.map((hand, i) => ({
      train: drawnDigits({ hand, count: 600, key: key(10 + i) }),
      test: drawnDigits({ hand, count: 400, key: key(20 + i) }),
    })) as [Pair, Pair];
    expect(centroidAccuracy(upright.train, upright.test)).toBeGreaterThan(0.93);
    expect(centroidAccuracy(slanted.train, slanted.test)).toBeGreaterThan(0.85);
    expect(centroidAccuracy(upright.train, slanted.test)).toBeLessThan(0.65);
    expect(centroidAccuracy(slanted.train, upright.test)).toBeLessThan(0.65);
  });

  it('templates lie in the unit box', () => {
    for (const hand of HANDS) {
      expect(GLYPHS[hand]).toHaveLength(10);
      for (const point of GLYPHS[hand].flat(2).flatMap((stroke) => stroke.points)) {
        expect(Math.min(...point)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...point)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('refuses a count that is not a positive integer', () => {
    for (const count of [0, -3, 2.5, Number.NaN]) {
      expect(() => drawnDigits({ hand: 'upright', count, key: key(0) })).toThrow(String(count));
    }
  });
});

type Pair = Readonly<Record<'train' | 'test', ReturnType<typeof drawnDigits>>>;

/** The first 64 bits of the SHA-256 of 20 images of key 0 in each hand. */
const FINGERPRINTS = ['45828beee86b464e', 'd9bdb35b9e5f78e2'];
