import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import {
  floats,
  type HostArray,
  type HostData,
  hostArray,
  ints,
  sizeOf,
} from '../../src/autodiff/index.js';
import {
  decodeSafetensors,
  encodeSafetensors,
  type StoredTensor,
  stored,
  type WritableType,
} from '../../src/checkpoints/index.js';
import { toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';

const right = <A>(result: E.Either<{ message: string }, A>): A => {
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};
const message = (result: E.Either<{ message: string }, unknown>): string =>
  E.isLeft(result) ? result.left.message : 'no problem';

/** A file of any header text and data. */
function file(header: string, data: ArrayLike<number> = [], length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(Array.from(data), 8 + text.length);
  return bytes;
}

const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
const tensor: fc.Arbitrary<StoredTensor<WritableType>> = fc
  .tuple(
    shapes,
    fc.constantFrom('F64', 'F32', 'I32', 'U32', 'U8', 'BOOL'),
    fc.infiniteStream(fc.nat()),
  )
  .map(([shape, storage, stream]) => {
    const bits = [...stream.take(sizeOf(shape))];
    const data: HostData =
      storage === 'F64'
        ? Float64Array.from(bits, (x) => (x - 1000) / 7)
        : storage === 'F32'
          ? Float32Array.from(bits, (x) => (x - 1000) / 7)
          : storage === 'I32'
            ? Int32Array.from(bits, (x) => x - 2 ** 30)
            : storage === 'U32'
              ? Uint32Array.from(bits, (x) => x * 2)
              : Uint8Array.from(bits, (x) => (storage === 'BOOL' ? x % 2 : x % 256));
    return { storage: storage as WritableType, array: hostArray(data, shape) };
  });
const names = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom('7', '__proto__', 'constructor', 'toString', 'a"b\\', 'ключ', ''),
);
const contents = fc.record({
  tensors: fc
    .uniqueArray(fc.tuple(names, tensor), { selector: ([name]) => name, maxLength: 6 })
    .map((entries) => new Map(entries)),
  metadata: fc
    .uniqueArray(fc.tuple(names, fc.string()), { selector: ([name]) => name, maxLength: 3 })
    .map((entries) => new Map(entries)),
});

const plain = (tensors: ReadonlyMap<string, StoredTensor>) =>
  [...tensors]
    .map(([name, { storage, array }]) => [name, storage, array.shape, [...array.data]] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));

describe('round trip', () => {
  test('every name, shape, type and element comes back; equal contents give equal bytes', () => {
    fc.assert(
      fc.property(contents, ({ tensors, metadata }) => {
        const bytes = right(encodeSafetensors({ tensors, metadata }));
        const read = right(decodeSafetensors(bytes));
        expect(plain(read.tensors)).toEqual(plain(tensors));
        expect(new Map(read.metadata)).toEqual(metadata);
        const reversed = new Map([...tensors].reverse());
        expect(right(encodeSafetensors({ tensors: reversed, metadata }))).toEqual(bytes);
        // The data section starts at a multiple of 8, as every aligned reader wants.
        expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
      }),
      { numRuns: runs(200) },
    );
  });

  test('floats keep their bits: NaN, −0, subnormals, infinities', () => {
    const special = [Number.NaN, -0, 5e-324, Number.NEGATIVE_INFINITY, 1e308];
    const bytes = right(
      encodeSafetensors({
        tensors: new Map([['x', stored(floats(special))]]),
        metadata: new Map(),
      }),
    );
    const x = right(decodeSafetensors(bytes)).tensors.get('x')?.array as HostArray;
    expect([...x.data].every((v, i) => Object.is(v, special[i]))).toBe(true);
  });

  test('strided arrays are written in row-major order', () => {
    const t = ints([1, 2, 3, 4, 5, 6], [2, 3]).transpose(1, 0);
    const bytes = right(
      encodeSafetensors({ tensors: new Map([['t', stored(t)]]), metadata: new Map() }),
    );
    expect(toNumbers(right(decodeSafetensors(bytes)).tensors.get('t')?.array as HostArray)).toEqual(
      [1, 4, 2, 5, 3, 6],
    );
  });
});

test('reads a file that another library wrote, and writes the same bytes', () => {
  const url = new URL('../fixtures/huggingface/vit/model.safetensors', import.meta.url);
  const bytes = new Uint8Array(readFileSync(url));
  const { tensors, metadata } = right(decodeSafetensors(bytes));
  expect(tensors.size).toBeGreaterThan(10);
  expect(metadata.get('format')).toBe('pt');
  const total = [...tensors.values()].reduce((n, { array }) => n + array.size, 0);
  expect(total).toBe(19626);
  const again = encodeSafetensors({
    tensors: tensors as ReadonlyMap<string, StoredTensor<WritableType>>,
    metadata,
  });
  const read = right(decodeSafetensors(right(again)));
  expect(plain(read.tensors)).toEqual(plain(tensors));
});

describe('narrow and wide types', () => {
  const read = (dtype: string, data: number[], shape: number[]) =>
    right(
      decodeSafetensors(
        file(JSON.stringify({ x: { dtype, shape, data_offsets: [0, data.length] } }), data),
      ),
    ).tensors.get('x')?.array as HostArray;

  test('F16: ±0, one, the smallest subnormal, the greatest number, infinity, NaN', () => {
    const words = [0x0000, 0x8000, 0x3c00, 0x0001, 0x7bff, 0xfc00, 0x7e00, 0x3555];
    const x = read(
      'F16',
      words.flatMap((w) => [w & 255, w >> 8]),
      [8],
    );
    const expected = [
      0,
      -0,
      1,
      2 ** -24,
      65504,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      0.333251953125,
    ];
    expect(x.data).toBeInstanceOf(Float32Array);
    expect([...x.data].every((v, i) => Object.is(v, expected[i]))).toBe(true);
  });

  test('BF16 is the upper half of float32', () => {
    const words = [0x3f80, 0xc040, 0x7f80, 0x0001];
    const x = read(
      'BF16',
      words.flatMap((w) => [w & 255, w >> 8]),
      [2, 2],
    );
    expect([...x.data]).toEqual([1, -3, Number.POSITIVE_INFINITY, 2 ** -133]);
  });

  test('I64 where the numbers fit', () => {
    const small = new Uint8Array(BigInt64Array.of(5n, -7n).buffer);
    expect([...read('I64', [...small], [2]).data]).toEqual([5, -7]);
    const large = new Uint8Array(BigInt64Array.of(2n ** 40n).buffer);
    expect(() => read('I64', [...large], [1])).toThrow(
      'tensor "x": I64 element 0 is 1099511627776',
    );
  });
});

describe('hostile files get one line', () => {
  const entry = (fields: object) => JSON.stringify({ x: fields });
  const good = { dtype: 'F32', shape: [1], data_offsets: [0, 4] };
  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), '0 bytes, too short'],
    ['seven bytes', new Uint8Array(7), '7 bytes, too short'],
    ['a length beyond the file', file('{}', [], 3n), 'header length is 3, but only 2 bytes follow'],
    ['a length of 2⁶⁴ − 1', file('{}', [], 2n ** 64n - 1n), 'expected at most 100000000'],
    ['no JSON', file('{"x":'), 'not valid JSON'],
    ['an array', file('[]'), 'does not start with "{"'],
    ['leading spaces', file(' {}'), 'does not start with "{"'],
    [
      'bad UTF-8',
      (() => {
        const f = file('{"a"}');
        f[10] = 0xff;
        return f;
      })(),
      'not UTF-8',
    ],
    ['deep nesting', file(`{"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`), 'tensor "x"'],
    [
      'two equal names',
      file(`{"x":${JSON.stringify(good)},"\\u0078":${JSON.stringify(good)}}`, [0, 0, 0, 0]),
      'names "x" twice',
    ],
    [
      'two equal fields',
      file('{"x":{"dtype":"F32","shape":[1],"shape":[9],"data_offsets":[0,4]}}', [0, 0, 0, 0]),
      'names "shape" twice',
    ],
    ['an unknown dtype', file(entry({ ...good, dtype: 'F4_E2M1' })), 'dtype "F4_E2M1"'],
    ['an inherited dtype', file(entry({ ...good, dtype: 'toString' })), 'dtype "toString"'],
    ['a negative size', file(entry({ ...good, shape: [-1, -1] }), [0, 0, 0, 0]), 'shape [-1,-1]'],
    ['a fractional size', file(entry({ ...good, shape: [0.5, 2] }), [0, 0, 0, 0]), 'shape [0.5,2]'],
    ['a huge shape', file(entry({ ...good, shape: [2 ** 40, 2 ** 40] })), 'takes'],
    [
      'a shape that overflows to the right size',
      file(entry({ ...good, shape: [2 ** 52, 2 ** 52, 2 ** 52] })),
      'takes',
    ],
    [
      'too many axes',
      file(entry({ ...good, shape: new Array(17).fill(1) }), [0, 0, 0, 0]),
      'up to 16',
    ],
    ['offsets backwards', file(entry({ ...good, data_offsets: [4, 0] })), 'data_offsets span -4'],
    [
      'a missing field',
      file(entry({ dtype: 'F32', shape: [1] })),
      'expected dtype, shape, data_offsets',
    ],
    [
      'a further field',
      file(entry({ ...good, more: 1 }), [0, 0, 0, 0]),
      'expected dtype, shape, data_offsets',
    ],
    [
      'offsets beyond the end',
      file(entry(good), [0, 0]),
      'truncated: 2 bytes of tensors, the header promises 4',
    ],
    ['bytes to spare', file(entry(good), [0, 0, 0, 0, 0]), '1 bytes after the last tensor'],
    ['a gap', file(entry({ ...good, data_offsets: [1, 5] }), [0, 0, 0, 0, 0]), 'gap of 1 bytes'],
    [
      'an overlap',
      file(JSON.stringify({ x: good, y: { ...good, data_offsets: [2, 6] } }), [0, 0, 0, 0, 0, 0]),
      'tensor "y" overlaps',
    ],
    [
      'metadata that is no text',
      file('{"__metadata__":{"a":1}}'),
      '__metadata__ "a" is 1, expected a string',
    ],
    [
      'a bool of two',
      file(JSON.stringify({ x: { dtype: 'BOOL', shape: [1], data_offsets: [0, 1] } }), [2]),
      'tensor "x": BOOL element is 2',
    ],
    ['a tensor that is null', file('{"x":null}'), 'tensor "x" is null'],
  ])('%s', (_, bytes, expected) => {
    const said = message(decodeSafetensors(bytes));
    expect(said).toContain(expected);
    expect(said.startsWith('safetensors: ')).toBe(true);
    expect(said).not.toContain('\n');
    expect(said.length).toBeLessThan(300);
  });

  test('a tensor called __proto__ is only a tensor', () => {
    const bytes = file(`{"__proto__":${JSON.stringify(good)}}`, [0, 0, 128, 63]);
    const { tensors } = right(decodeSafetensors(bytes));
    expect([...tensors.keys()]).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });

  test('fuzzed: damaged files never throw, and never take more memory than twice their size', () => {
    const mutation = fc.oneof(
      fc.record({ at: fc.nat(), byte: fc.nat(255) }),
      fc.record({ cut: fc.nat() }),
      fc.record({ data: fc.nat(), byte: fc.nat(255) }),
      fc.record({
        insert: fc.nat(),
        text: fc.constantFrom('9', ',', '}', '"', '[', '\\', '\0', '-'),
      }),
    );
    let [refused, accepted] = [0, 0];
    fc.assert(
      fc.property(
        contents,
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (whole, mutations) => {
          let bytes = [...right(encodeSafetensors(whole))];
          // Most damage goes to the header, where there is something to get wrong.
          const start =
            8 + Number(new DataView(Uint8Array.from(bytes).buffer).getBigUint64(0, true));
          for (const m of mutations) {
            if ('at' in m) bytes[m.at % Math.min(start, bytes.length)] = m.byte;
            else if ('data' in m) bytes[Math.max(start, bytes.length - 1 - (m.data % 64))] = m.byte;
            else if ('cut' in m) bytes = bytes.slice(0, m.cut % (bytes.length + 1));
            else bytes.splice(8 + (m.insert % Math.max(1, start - 8)), 0, m.text.charCodeAt(0));
          }
          const result = decodeSafetensors(Uint8Array.from(bytes));
          if (E.isLeft(result)) {
            refused++;
            expect(result.left.kind).toBe('checkpoint');
            expect(result.left.message).not.toContain('\n');
          } else {
            accepted++;
            const held = [...result.right.tensors.values()].reduce(
              (n, { array }) => n + array.data.byteLength,
              0,
            );
            expect(held).toBeLessThanOrEqual(2 * bytes.length);
          }
        },
      ),
      { numRuns: runs(2000) },
    );
    // Both happen, else the test would show nothing.
    expect(refused).toBeGreaterThan(100);
    expect(accepted).toBeGreaterThan(10);
  });

  test('every truncation of a file is refused', () => {
    const tensors = new Map([
      ['a', stored(floats([1, 2, 3]))],
      ['b', stored(ints([4]))],
    ]);
    const bytes = right(encodeSafetensors({ tensors, metadata: new Map([['k', 'v']]) }));
    for (let n = 0; n < bytes.length; n++) {
      expect(E.isLeft(decodeSafetensors(bytes.subarray(0, n)))).toBe(true);
    }
  });
});

test('what cannot be written is refused', () => {
  const x = floats([1]);
  const write = (name: string, storage: WritableType) =>
    message(
      encodeSafetensors({ tensors: new Map([[name, { storage, array: x }]]), metadata: new Map() }),
    );
  expect(write('__metadata__', 'F64')).toContain('a tensor is named __metadata__');
  expect(write('x', 'F32')).toBe(
    'safetensors: tensor "x" is given as F64, cannot be written as F32',
  );
});
