import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import {
  FASHION_CLASSES,
  gunzip,
  parseCifar,
  parseClassNames,
  parseIdx,
  parseIdxPair,
  parseOptdigits,
  parseSemeion,
  tarMember,
} from '../../src/data/index.js';
import { ascii, message, ok } from './helpers.js';

const optRow = (pixel: (i: number) => number, label: number): string =>
  [...Array.from({ length: 64 }, (_, i) => pixel(i)), label].join(',');

const semeionRow = (ink: (i: number) => boolean, label: number, one = '1', zero = '0'): string =>
  [
    ...Array.from({ length: 256 }, (_, i) => (ink(i) ? one : zero)),
    ...Array.from({ length: 10 }, (_, i) => (i === label ? '1' : '0')),
  ].join(' ');

/** An IDX file with the given shape in its header and the given bytes after it. */
const idxFile = (shape: readonly number[], data: Uint8Array, type = 8): Uint8Array => {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (type << 8) | shape.length);
  shape.forEach((side, axis) => {
    view.setUint32(4 + 4 * axis, side);
  });
  bytes.set(data, 4 + 4 * shape.length);
  return bytes;
};

describe('optdigits', () => {
  it('reads pixels in sixteenths and the label last', () => {
    const text = `${optRow((i) => i % 17, 7)}\n${optRow(() => 16, 0)}\r\n`;
    const set = ok(parseOptdigits(ascii(text), 'x.tra'));
    expect(set.images.shape).toEqual([2, 8, 8]);
    expect(set.images.get(0, 1, 2)).toBe(10 / 16);
    expect(set.images.get(1, 7, 7)).toBe(1);
    expect([...set.labels.data]).toEqual([7, 0]);
    expect(set.name).toBe('x.tra');
  });

  it.each([
    ['', 'x: the file is empty'],
    ['\n\n', 'x: the file is empty'],
    ['1,2,3', 'x: line 1 has 3 fields, expected 65'],
    [`${optRow(() => 1, 1)}\n\n${optRow(() => 1, 1)}`, 'x: line 2 has 1 fields, expected 65'],
    [optRow((i) => (i === 5 ? 17 : 0), 1), 'x: line 1, field 6: "17" is not allowed'],
    [optRow((i) => (i === 5 ? -1 : 0), 1), 'x: line 1, field 6: "-1" is not allowed'],
    [optRow(() => 0, 10), 'x: line 1, field 65: "10" is not allowed'],
    [optRow(() => 0.5, 1), 'x: line 1, field 1: "0.5" is not allowed'],
    [`${'9'.repeat(1000)},${optRow(() => 0, 1).slice(2)}`, /field 1: "9{20}…" is not allowed$/],
  ])('refuses %#', (text, expected) => {
    expect(message(parseOptdigits(ascii(text), 'x'))).toMatch(expected);
  });
});

describe('semeion', () => {
  it('reads both notations of the pixels alike', () => {
    const ink = (i: number): boolean => i % 3 === 0;
    const long = ok(parseSemeion(ascii(`${semeionRow(ink, 4, '1.0000', '0.0000')} \r\n`)));
    const short = ok(parseSemeion(ascii(`${semeionRow(ink, 4)}\n`)));
    expect(long).toEqual(short);
    expect(long.images.shape).toEqual([1, 16, 16]);
    expect(long.images.get(0, 0, 3)).toBe(1);
    expect(long.images.get(0, 1, 0)).toBe(0);
    expect(long.labels.get(0)).toBe(4);
  });

  it('names the line of a missing or double label', () => {
    const good = semeionRow(() => true, 3);
    expect(message(parseSemeion(ascii(`${good}\n${semeionRow(() => true, -1)}`), 's'))).toBe(
      's: line 2 marks 0 digits, expected 1',
    );
    expect(message(parseSemeion(ascii(`${good.slice(0, -1)}1`), 's'))).toBe(
      's: line 1 marks 2 digits, expected 1',
    );
  });

  it('names the line of a truncated row', () => {
    const text = `${semeionRow(() => false, 1)}\n${semeionRow(() => false, 1).slice(0, -2)}`;
    expect(message(parseSemeion(ascii(text)))).toBe(
      'semeion.data: line 2 has 265 fields, expected 266',
    );
    expect(message(parseSemeion(ascii(text.replace('0', '2'))))).toContain('"2" is not allowed');
  });
});

describe('IDX', () => {
  const images = idxFile(
    [2, 2, 3],
    Uint8Array.from({ length: 12 }, (_, i) => i * 20),
  );
  const labels = idxFile([2], Uint8Array.of(9, 0));
  const names = { name: 'm', classes: FASHION_CLASSES };

  it('joins images and labels', () => {
    const set = ok(parseIdxPair(images, labels, names));
    expect(set.images.shape).toEqual([2, 2, 3]);
    expect(set.images.get(1, 0, 1)).toBe(Math.fround(140 / 255));
    expect([...set.labels.data]).toEqual([9, 0]);
  });

  it('reads from the middle of a larger buffer', () => {
    const padded = new Uint8Array(images.length + 7);
    padded.set(images, 7);
    expect(ok(parseIdx(padded.subarray(7), 3)).get(1, 1, 2)).toBe(220);
  });

  it.each([
    [new Uint8Array(0), 'f: 0 bytes, too short for an IDX header'],
    [images.subarray(0, 15), 'f: 15 bytes, too short for an IDX header'],
    [images.subarray(0, 20), 'f: the header says 2×2×3 = 12 bytes, the file has 4'],
    [labels, 'f: 10 bytes, too short'],
    [
      idxFile([1, 1, 4], new Uint8Array(4), 13),
      'f: IDX magic number is 00000d03, expected 00000803',
    ],
    // 2³² − 1 on each axis: the product overflows a double's exact range and any memory.
    [
      idxFile([0xffffffff, 0xffffffff, 0xffffffff], new Uint8Array(4)),
      'f: the header says 4294967295×4294967295×4294967295 = ' +
        '79228162458924105385300197375 bytes, the file has 4',
    ],
    [idxFile([0, 0xffffffff, 1], new Uint8Array(0)), 'f: no rows'],
    [Uint8Array.of(...images, 0), 'f: the header says 2×2×3 = 12 bytes, the file has 13'],
  ])('refuses a damaged header or length %#', (bytes, expected) => {
    expect(message(parseIdx(bytes, 3, 'f'))).toContain(expected);
  });

  it('refuses parts that do not belong together', () => {
    const three = idxFile([3], Uint8Array.of(1, 2, 3));
    expect(message(parseIdxPair(images, three, names))).toBe('m: 2 images but 3 labels');
    const wrong = idxFile([2], Uint8Array.of(1, 10));
    expect(message(parseIdxPair(images, wrong, names))).toBe(
      'm labels: row 1 is 10, which is no class',
    );
  });
});

describe('CIFAR', () => {
  const classes = Array.from({ length: 100 }, (_, i) => `c${i}`);
  const row = (...head: number[]): Uint8Array =>
    Uint8Array.from({ length: head.length + 3072 }, (_, i) => head[i] ?? (i - head.length) >> 10);

  it('turns planes into channels, with one or two label bytes', () => {
    const one = ok(parseCifar(Uint8Array.of(...row(99), ...row(5)), 'one-label', classes));
    expect(one.images.shape).toEqual([2, 32, 32, 3]);
    expect([...one.labels.data]).toEqual([99, 5]);
    expect([0, 1, 2].map((c) => one.images.get(1, 31, 31, c))).toEqual(
      [0, 1, 2].map((c) => Math.fround(c / 255)),
    );
    const two = ok(parseCifar(row(19, 42), 'coarse-fine', classes));
    expect(two.labels.get(0)).toBe(42);
    expect(two.images.get(0, 0, 0, 2)).toBe(Math.fround(2 / 255));
  });

  it('refuses partial rows and labels that are no class', () => {
    expect(message(parseCifar(new Uint8Array(0), 'one-label', classes, 'c'))).toContain('0 bytes');
    expect(message(parseCifar(row(1).subarray(1), 'one-label', classes, 'c'))).toBe(
      'c: 3072 bytes is not a whole number of 3073-byte rows',
    );
    expect(message(parseCifar(row(100), 'one-label', classes, 'c'))).toBe(
      'c: row 0 has label 100, which is no class',
    );
    expect(message(parseCifar(row(20, 3), 'coarse-fine', classes))).toContain('row 0');
  });

  it('checks lists of class names', () => {
    expect(ok(parseClassNames(ascii('a\r\nb\n\n'), 2))).toEqual(['a', 'b']);
    expect(message(parseClassNames(ascii('a'), 2, 'n'))).toBe('n: 1 class names, expected 2');
    expect(message(parseClassNames(ascii('a\na'), 2, 'n'))).toContain('must be different');
  });
});

describe('gunzip and tar', () => {
  const packed = gzipSync(new Uint8Array(100_000));

  it('unpacks, and passes plain bytes on', () => {
    expect(ok(gunzip(packed)).length).toBe(100_000);
    expect(ok(gunzip(ascii('plain')))).toEqual(ascii('plain'));
  });

  it('stops at the limit, and reports damage', () => {
    expect(message(gunzip(packed, 'z', 99_999))).toBe('z: unpacks to more than 99999 bytes');
    expect(message(gunzip(packed.subarray(0, 50), 'z'))).toBe('z: the gzip file is truncated');
    const damaged = Uint8Array.from(packed, (byte, i) => (i > 20 && i < 40 ? byte ^ 0x5a : byte));
    expect(message(gunzip(damaged, 'z'))).toContain('z: the gzip file is damaged');
    expect(message(gunzip(ascii('plain'), 'z', 4))).toBe('z: 5 bytes, at most 4 expected');
  });

  const member = (name: string, size: string, data: string): Uint8Array => {
    const block = new Uint8Array(1024);
    block.set(ascii(name), 0);
    block.set(ascii(size), 124);
    block.set(ascii(data), 512);
    return block;
  };

  it('finds members and refuses lying sizes', () => {
    const tar = Uint8Array.of(...member('a', '1\0', 'x'), ...member('d/b', '3 ', 'yes'));
    expect(ok(tarMember(tar, 'd/b'))).toEqual(ascii('yes'));
    expect(message(tarMember(tar, 'c', 't'))).toBe("t: no member 'c'");
    for (const size of ['77777777777', '-1', 'x', '']) {
      expect(message(tarMember(member('a', size, ''), 'a', 't'))).toContain('truncated or damaged');
    }
  });
});

describe('every parser', () => {
  it('answers any bytes with a value or a one-line error, never an exception', () => {
    const parsers = [
      (bytes: Uint8Array) => parseOptdigits(bytes),
      (bytes: Uint8Array) => parseSemeion(bytes),
      (bytes: Uint8Array) => parseIdx(bytes, 3),
      (bytes: Uint8Array) => parseCifar(bytes, 'one-label', ['only']),
      (bytes: Uint8Array) => parseClassNames(bytes, 2),
      (bytes: Uint8Array) => gunzip(Uint8Array.of(0x1f, 0x8b, ...bytes)),
      (bytes: Uint8Array) => tarMember(bytes, 'a'),
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        for (const parse of parsers) {
          const result = parse(bytes);
          if (result._tag === 'Left') message(result);
        }
      }),
    );
  });

  it('reads back what was written (IDX)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }), (n, side) => {
        const data = Uint8Array.from({ length: n * side * side }, (_, i) => (i * 37) % 256);
        const read = ok(parseIdx(idxFile([n, side, side], data), 3));
        expect(read.shape).toEqual([n, side, side]);
        expect([...read.data]).toEqual([...data]);
      }),
    );
  });
});
