/** The binary format: numbers in LEB128, modules that engines accept, functions that compute. */
import fc from 'fast-check';
import {
  encodeModule,
  floatBytes,
  signed,
  unsigned,
  type WasmFunction,
  wordBytes,
} from '../../../../src/kernels/wasm/encoding.js';
import {
  block,
  breakIf,
  call,
  f32x4,
  forever,
  get,
  i32,
  i32x4,
  repeatWhile,
  set,
  v128,
  when,
} from '../../../../src/kernels/wasm/instructions.js';
import { runs } from '../../../tooling/property.js';

describe('LEB128', () => {
  /** The number that bytes stand for, by the specification's definition. */
  const decoded = (bytes: readonly number[], isSigned: boolean): bigint => {
    const value = bytes.reduce((sum, byte, i) => sum + (BigInt(byte & 0x7f) << BigInt(7 * i)), 0n);
    const negative = isSigned && ((bytes.at(-1) as number) & 0x40) !== 0;
    return negative ? value - (1n << BigInt(7 * bytes.length)) : value;
  };
  const isWellFormed = (bytes: readonly number[]): boolean =>
    bytes.length > 0 &&
    bytes.every((b, i) => b >= 0 && b < 256 && b >= 128 === i < bytes.length - 1);

  test.each<[number, number[]]>([
    [0, [0]],
    [1, [1]],
    [63, [63]],
    [64, [0x40]],
    [127, [0x7f]],
    [128, [0x80, 1]],
    [16_383, [0xff, 0x7f]],
    [16_384, [0x80, 0x80, 1]],
    [624_485, [0xe5, 0x8e, 0x26]],
    [2 ** 31, [0x80, 0x80, 0x80, 0x80, 8]],
    [2 ** 32 - 1, [0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])('unsigned %i', (value, bytes) => {
    expect(unsigned(value)).toEqual(bytes);
  });

  test.each<[number, number[]]>([
    [0, [0]],
    [-1, [0x7f]],
    [63, [63]],
    [64, [0xc0, 0]],
    [-64, [0x40]],
    [-65, [0xbf, 0x7f]],
    [127, [0xff, 0]],
    [128, [0x80, 1]],
    [-128, [0x80, 0x7f]],
    [8191, [0xff, 0x3f]],
    [8192, [0x80, 0xc0, 0]],
    [-8193, [0xff, 0xbf, 0x7f]],
    [-123_456, [0xc0, 0xbb, 0x78]],
    [2 ** 31 - 1, [0xff, 0xff, 0xff, 0xff, 7]],
    [-(2 ** 31), [0x80, 0x80, 0x80, 0x80, 0x78]],
  ])('signed %i', (value, bytes) => {
    expect(signed(value)).toEqual(bytes);
  });

  test('a word above 2³¹ is its 32 bits', () => {
    expect(signed(2 ** 32 - 1)).toEqual(signed(-1));
    expect(signed(0x9e3779b9)).toEqual(signed(0x9e3779b9 | 0));
  });

  test('any number comes back', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(2 ** 32 - 1), (a, b) => {
        expect(decoded(signed(a), true)).toBe(BigInt(a));
        expect(decoded(unsigned(b), false)).toBe(BigInt(b));
        expect(isWellFormed(signed(a)) && isWellFormed(unsigned(b))).toBe(true);
      }),
      { numRuns: runs(500) },
    );
  });
});

test('constants are little-endian', () => {
  expect(floatBytes(1)).toEqual([0, 0, 0x80, 0x3f]);
  expect(floatBytes(-0)).toEqual([0, 0, 0, 0x80]);
  expect(floatBytes(Number.NEGATIVE_INFINITY)).toEqual([0, 0, 0x80, 0xff]);
  expect(wordBytes(-2)).toEqual([0xfe, 0xff, 0xff, 0xff]);
  expect(wordBytes(0x80000001)).toEqual([1, 0, 0, 0x80]);
});

const isValid = (bytes: Uint8Array): boolean =>
  WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>);

/** Exports of a module over a memory of one page. */
async function instantiated(functions: readonly WasmFunction[], shared = false) {
  const bytes = encodeModule(functions, shared);
  expect(isValid(bytes)).toBe(true);
  const memory = new WebAssembly.Memory(
    shared ? { initial: 1, maximum: 65_536, shared: true } : { initial: 1 },
  );
  const { instance } = await WebAssembly.instantiate(bytes as Uint8Array<ArrayBuffer>, {
    env: { memory },
  });
  const named = instance.exports as Record<string, (...args: unknown[]) => void>;
  return { named, ints: new Int32Array(memory.buffer), floats: new Float32Array(memory.buffer) };
}

/** memory[0] = n! by a loop. */
const factorial: WasmFunction = {
  params: ['i32'],
  locals: ['i32'],
  body: [
    ...set(1, i32.const(1)),
    ...when(
      i32.gtS(get(0), i32.const(0)),
      repeatWhile(i32.gtS(get(0), i32.const(0)), [
        ...set(1, i32.mul(get(1), get(0))),
        ...set(0, i32.sub(get(0), i32.const(1))),
      ]),
    ),
    ...i32.store(i32.const(0), get(1)),
  ],
  exportAs: 'factorial',
};

describe('modules', () => {
  test('a function that computes', async () => {
    const { named, ints } = await instantiated([factorial]);
    const found = [0, 1, 5, 12].map((n) => {
      named.factorial?.(n);
      return ints[0];
    });
    expect(found).toEqual([1, 1, 120, 479_001_600]);
  });

  test('functions of several signatures that call each other, by number', async () => {
    const store: WasmFunction = {
      params: ['i32', 'v128'],
      locals: [],
      body: v128.store(get(0), get(1), 16),
    };
    const empty: WasmFunction = { params: [], locals: ['i64', 'v128', 'i32'], body: [] };
    const main: WasmFunction = {
      params: ['i32'],
      locals: ['v128'],
      body: [
        ...call(1, []),
        ...set(1, f32x4.fromInt(i32x4.add(i32x4.splat(get(0)), v128.words([0, 1, -1, 2])))),
        ...call(0, [i32.const(48), f32x4.mul(get(1), f32x4.splat(0.5))]),
      ],
      exportAs: 'main',
    };
    const { named, floats } = await instantiated([store, empty, main, factorial]);
    expect(Object.keys(named).sort()).toEqual(['factorial', 'main']);
    named.main?.(7);
    expect(Array.from(floats.slice(15, 21))).toEqual([0, 3.5, 4, 3, 4.5, 0]);
  });

  test('a body and a list of locals whose sizes take several bytes', async () => {
    const locals = Array.from({ length: 300 }, () => 'i32' as const);
    const body = locals.flatMap((_, i) => set(i + 1, i32.add(get(i), i32.const(i * 1000))));
    const long: WasmFunction = {
      params: ['i32'],
      locals,
      body: [...body, ...i32.store(i32.const(400), get(300), 300)],
      exportAs: 'long',
    };
    expect(body.length).toBeGreaterThan(2 ** 11);
    const { named, ints } = await instantiated([long]);
    named.long?.(5);
    expect(ints[175]).toBe(5 + (1000 * 299 * 300) / 2);
  });

  test('many functions', async () => {
    const functions = Array.from(
      { length: 200 },
      (_, i): WasmFunction => ({
        params: [],
        locals: [],
        body: i32.store(i32.const(4), i32.const(-i)),
        exportAs: `function ${i}`,
      }),
    );
    const { named, ints } = await instantiated(functions);
    named['function 199']?.();
    expect(ints[1]).toBe(-199);
  });

  test('a loop that is left from inside, and both branches of a condition', async () => {
    const search: WasmFunction = {
      params: ['i32'],
      locals: ['i32'],
      body: [
        ...block(
          forever([
            ...breakIf(i32.geS(i32.mul(get(1), get(1)), get(0)), 1),
            ...set(1, i32.add(get(1), i32.const(1))),
          ]),
        ),
        ...when(
          i32.eq(i32.mul(get(1), get(1)), get(0)),
          i32.store(i32.const(0), get(1)),
          i32.store(i32.const(0), i32.sub(i32.const(0), get(1))),
        ),
      ],
      exportAs: 'search',
    };
    const { named, ints } = await instantiated([search]);
    named.search?.(144);
    expect(ints[0]).toBe(12);
    named.search?.(145);
    expect(ints[0]).toBe(-13);
  });

  test('of a shared memory only where that is asked for', async () => {
    const { named, ints } = await instantiated([factorial], true);
    named.factorial?.(4);
    expect(ints[0]).toBe(24);
    expect(isValid(encodeModule([], true)) && isValid(encodeModule([], false))).toBe(true);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536 });
    const bytes = encodeModule([factorial], true) as Uint8Array<ArrayBuffer>;
    await expect(WebAssembly.instantiate(bytes, { env: { memory } })).rejects.toThrow(/shared/);
  });

  test('what is wrong is refused by the engine', () => {
    const wrong: WasmFunction = { params: [], locals: [], body: get(3) };
    expect(isValid(encodeModule([wrong], false))).toBe(false);
  });
});
