import fc from 'fast-check';
import ndarray from 'ndarray';
import { foldIn, key } from '../../src/autodiff/random/keys.js';
import { batches, flatImages, inOrder, splitByClass, takeRows } from '../../src/data/index.js';
import { runs } from '../tooling/property.js';
import { labelled, message, ok } from './helpers.js';

/** The first `count` numbers that an iterator of batches gives. */
function firstRows(seed: number, rows: number, size: number, count: number): readonly number[] {
  const seen: number[] = [];
  for (const batch of batches(key(seed), rows, size)) {
    expect(batch.length).toBe(size);
    seen.push(...batch);
    if (seen.length >= count) break;
  }
  return seen.slice(0, count);
}

const sorted = (rows: readonly number[]): readonly number[] => [...rows].sort((a, b) => a - b);
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);

describe('batches', () => {
  it('cover each row exactly once per epoch, whatever the sizes', () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 50 }),
        (seed, rows, size) => {
          const seen = firstRows(seed, rows, size, 3 * rows);
          for (const epoch of [0, 1, 2]) {
            expect(sorted(seen.slice(epoch * rows, (epoch + 1) * rows))).toEqual(upTo(rows));
          }
        },
      ),
    );
  });

  it('depend on the key alone and differ between epochs and keys', () => {
    const seen = firstRows(1, 50, 8, 100);
    expect(firstRows(1, 50, 8, 100)).toEqual(seen);
    expect(firstRows(1, 50, 25, 100)).toEqual(seen); // the batch size only cuts the stream
    expect(firstRows(2, 50, 8, 100)).not.toEqual(seen);
    expect(seen.slice(50)).not.toEqual(seen.slice(0, 50));
  });

  it('refuse sizes that are not positive integers', () => {
    expect(() => batches(key(1), 0, 4).next()).toThrow('count must be a positive integer, given 0');
    expect(() => batches(key(1), 4, 1.5).next()).toThrow('batchSize must be');
  });

  it('in order: every row once, the last piece shorter', () => {
    expect(inOrder(7, 3).map((piece) => [...piece])).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    expect(inOrder(0, 3)).toEqual([]);
  });
});

describe('takeRows', () => {
  it('copies rows in the given order', () => {
    const taken = takeRows(labelled([0, 1, 2]), [2, 0, 2]);
    expect(taken.images.shape).toEqual([3, 1, 2]);
    expect([...taken.images.data]).toEqual([2, 2, 0, 0, 2, 2]);
    expect([...taken.labels.data]).toEqual([2, 0, 2]);
  });

  it('refuses rows outside', () => {
    for (const row of [3, -1, 0.5])
      expect(() => takeRows(labelled([0, 1, 2]), [row])).toThrow('row');
  });

  it('reads views as well as whole arrays', () => {
    const whole = ndarray(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [2, 2, 3],
    );
    expect(flatImages(whole)).toBe(whole.data);
    expect([...flatImages(whole.hi(2, 2, 2))]).toEqual([0, 1, 3, 4, 6, 7, 9, 10]);
    expect([...flatImages(whole.hi(1, 2, 3))]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...flatImages(whole.transpose(0, 2, 1))].slice(0, 6)).toEqual([0, 3, 1, 4, 2, 5]);
    const colour = ndarray(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [1, 2, 2, 3],
    );
    expect([...flatImages(colour.lo(0, 1, 0, 0))]).toEqual([6, 7, 8, 9, 10, 11]);
  });
});

describe('splitByClass', () => {
  const labels = Array.from({ length: 60 }, (_, i) => (i * i) % 3);

  it('takes perClass rows of each class and leaves the others', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.integer({ min: 1, max: 20 }), (seed, perClass) => {
        const set = labelled(Array.from({ length: 60 }, (_, i) => i % 3));
        const { chosen, rest } = ok(splitByClass(set, perClass, key(seed)));
        for (const label of [0, 1, 2]) {
          expect([...chosen.labels.data].filter((l) => l === label)).toHaveLength(perClass);
        }
        const rows = [...chosen.images.data, ...rest.images.data].filter((_, i) => i % 2 === 0);
        expect(sorted(rows)).toEqual(upTo(60));
      }),
      { numRuns: runs(50) },
    );
  });

  it('nests smaller choices in larger ones of the same key', () => {
    const set = labelled(upTo(60).map((i) => i % 3));
    const rows = (perClass: number): readonly number[] =>
      [...ok(splitByClass(set, perClass, key(4))).chosen.images.data].filter((_, i) => i % 2 === 0);
    expect(rows(10).slice(0, 15)).toEqual(rows(5));
    expect(ok(splitByClass(set, 5, foldIn(key(4), 1))).chosen).not.toEqual(
      ok(splitByClass(set, 5, key(4))).chosen,
    );
  });

  it('says which class is too small', () => {
    // squares are 0 or 1 modulo 3: class 2 is empty
    expect(message(splitByClass(labelled(labels), 1, key(1)))).toBe(
      "tiny: class 'class 2' has 0 rows, 1 were asked for",
    );
    expect(message(splitByClass(labelled(labels), 0, key(1)))).toContain('positive integer');
  });
});
