/**
 * WebAssembly instructions as functions from the code of their operands to code. So an address is
 * written `i32.add(get(base), i32.const(16))`, inside out as in any other language.
 *
 * Numbers of the opcodes: WebAssembly Core Specification 2.0, appendix "Index of Instructions"; the
 * relaxed ones: proposal "relaxed-simd"; atomics: proposal "threads".
 */
import { type Code, floatBytes, signed, unsigned, wordBytes } from './encoding.js';

type Unary = (x: Code) => Code;
type Binary = (x: Code, y: Code) => Code;

const plain =
  (opcode: number): Binary =>
  (x, y) => [...x, ...y, opcode];
const simd = (opcode: number): Code => [0xfd, ...unsigned(opcode)];
const simd1 =
  (opcode: number): Unary =>
  (x) => [...x, ...simd(opcode)];
const simd2 =
  (opcode: number): Binary =>
  (x, y) => [...x, ...y, ...simd(opcode)];
const simd3 =
  (opcode: number) =>
  (x: Code, y: Code, z: Code): Code => [...x, ...y, ...z, ...simd(opcode)];
/** Alignment (as a power of two; a hint) and offset of an access to memory. */
const access = (align: number, offset: number): Code => [align, ...unsigned(offset)];

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)];
export const call = (index: number, args: readonly Code[]): Code => [
  ...args.flat(),
  0x10,
  ...unsigned(index),
];
export const when = (condition: Code, then: Code, otherwise: Code = []): Code => [
  ...condition,
  0x04,
  0x40,
  ...then,
  ...(otherwise.length > 0 ? [0x05, ...otherwise] : []),
  0x0b,
];
/** Runs `body` again as long as `condition`, which is looked at after it, is not 0. */
export const repeatWhile = (condition: Code, body: Code): Code =>
  [0x03, 0x40].concat(body as number[], condition as number[], [0x0d, 0, 0x0b]);

/** A block that `breakIf` may leave. */
export const block = (body: Code): Code => [0x02, 0x40, ...body, 0x0b];
/** Repeats `body` until a break leaves an outer block. */
export const forever = (body: Code): Code => [0x03, 0x40, ...body, 0x0c, 0, 0x0b];
/** Leaves the block `levels` around the innermost. */
export const breakIf = (condition: Code, levels: number): Code => [...condition, 0x0d, levels];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load: (address: Code, offset = 0): Code => [...address, 0x28, ...access(2, offset)],
  store: (address: Code, value: Code, offset = 0): Code => [
    ...address,
    ...value,
    0x36,
    ...access(2, offset),
  ],
  load16u: (address: Code, offset = 0): Code => [...address, 0x2f, ...access(1, offset)],
  eqz: ((x) => [...x, 0x45]) as Unary,
  eq: plain(0x46),
  ltS: plain(0x48),
  ltU: plain(0x49),
  gtS: plain(0x4a),
  leS: plain(0x4c),
  geS: plain(0x4e),
  add: plain(0x6a),
  sub: plain(0x6b),
  mul: plain(0x6c),
  divS: plain(0x6d),
  divU: plain(0x6e),
  remS: plain(0x6f),
  remU: plain(0x70),
  and: plain(0x71),
  or: plain(0x72),
  shl: plain(0x74),
  shrU: plain(0x76),
  /** `x` where `condition` is not 0, else `y`. */
  select: (x: Code, y: Code, condition: Code): Code => [...x, ...y, ...condition, 0x1b],
  atomicLoad: (address: Code, offset: number): Code => [
    ...address,
    0xfe,
    0x10,
    ...access(2, offset),
  ],
  atomicStore: (address: Code, value: Code, offset: number): Code => [
    ...address,
    ...value,
    0xfe,
    0x17,
    ...access(2, offset),
  ],
  atomicAdd: (address: Code, value: Code, offset: number): Code => [
    ...address,
    ...value,
    0xfe,
    0x1e,
    ...access(2, offset),
  ],
  /** Sleeps while the word at the address is `expected`, without a time limit. Leaves a result. */
  wait: (address: Code, expected: Code, offset: number): Code => [
    ...address,
    ...expected,
    0x42,
    0x7f,
    0xfe,
    0x01,
    ...access(2, offset),
  ],
  /** Wakes all who wait on the word. Leaves a result. */
  notify: (address: Code, offset: number): Code => [
    ...address,
    0x41,
    0x7f,
    0xfe,
    0x00,
    ...access(2, offset),
  ],
};

/** 64-bit integers, which two random words share. */
export const i64 = {
  /** Lanes 2·half and 2·half + 1 of a vector. */
  lane: (x: Code, half: number): Code => [...x, ...simd(29), half],
  shl: (x: Code, bits: number): Code => [...x, 0x42, ...signed(bits), 0x86],
  shrU: (x: Code, bits: number): Code => [...x, 0x42, ...signed(bits), 0x88],
  and: (x: Code, mask: number): Code => [...x, 0x42, ...signed(mask), 0x83],
  wrap: ((x) => [...x, 0xa7]) as Unary,
};

/** Single floats, on their way into vectors. */
export const f32 = {
  load: (address: Code, offset: number): Code => [...address, 0x2a, ...access(2, offset)],
  splat: simd1(19),
  replaceLane: (x: Code, lane: number, value: Code): Code => [...x, ...value, ...simd(32), lane],
};

export const drop = (value: Code): Code => [...value, 0x1a];

export const v128 = {
  load: (address: Code, offset = 0): Code => [...address, ...simd(0), ...access(2, offset)],
  /** Four unsigned 16-bit integers as 32-bit lanes. */
  load16x4: (address: Code, offset = 0): Code => [...address, ...simd(4), ...access(1, offset)],
  loadSplat: (address: Code, offset = 0): Code => [...address, ...simd(9), ...access(2, offset)],
  loadLane: (address: Code, vector: Code, lane: number, offset = 0): Code => [
    ...address,
    ...vector,
    ...simd(86),
    ...access(2, offset),
    lane,
  ],
  store: (address: Code, value: Code, offset = 0): Code => [
    ...address,
    ...value,
    ...simd(11),
    ...access(2, offset),
  ],
  storeLane: (address: Code, value: Code, lane: number, offset = 0): Code => [
    ...address,
    ...value,
    ...simd(90),
    ...access(2, offset),
    lane,
  ],
  /** Lanes 2·half and 2·half + 1. */
  storeHalf: (address: Code, value: Code, half: 0 | 1, offset = 0): Code => [
    ...address,
    ...value,
    ...simd(91),
    ...access(2, offset),
    half,
  ],
  /** The lowest 16 bits of a 32-bit lane. */
  store16: (address: Code, value: Code, lane: number, offset = 0): Code => [
    ...address,
    ...value,
    ...simd(89),
    ...access(1, offset),
    2 * lane,
  ],
  floats: (values: readonly number[]): Code => [...simd(12), ...values.flatMap(floatBytes)],
  words: (values: readonly number[]): Code => [...simd(12), ...values.flatMap(wordBytes)],
  /** 32 bits in the first lane, 0 in the others. */
  loadFirst: (address: Code, offset = 0): Code => [...address, ...simd(92), ...access(2, offset)],
  /** Bytes of x (0 … 15) and y (16 … 31) in a new order. */
  shuffleBytes: (x: Code, y: Code, bytes: readonly number[]): Code => [
    ...x,
    ...y,
    ...simd(13),
    ...bytes,
  ],
  /** 32-bit lanes of x (0 … 3) and y (4 … 7) in a new order. */
  shuffle: (x: Code, y: Code, lanes: readonly number[]): Code =>
    v128.shuffleBytes(
      x,
      y,
      lanes.flatMap((l) => [4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3]),
    ),
  /** Bytes of x by the bytes of y; 0 where y's is 16 or more. */
  swizzle: simd2(14),
  not: simd1(77),
  and: simd2(78),
  andNot: simd2(79),
  or: simd2(80),
  xor: simd2(81),
  /** Bits of x where the mask's are set, else of y. */
  choose: (mask: Code, x: Code, y: Code): Code => simd3(82)(x, y, mask),
};

const shift =
  (opcode: number) =>
  (x: Code, bits: number): Code => [...x, ...i32.const(bits), ...simd(opcode)];

export const i16x8 = {
  shrS: shift(140),
};

export const i32x4 = {
  /** A number known now, in every lane. */
  constant: (value: number): Code => v128.words([value, value, value, value]),
  splat: simd1(17),
  lane: (x: Code, lane: number): Code => [...x, ...simd(27), lane],
  replaceLane: (x: Code, lane: number, value: Code): Code => [...x, ...value, ...simd(28), lane],
  eq: simd2(55),
  ne: simd2(56),
  ltS: simd2(57),
  ltU: simd2(58),
  gtS: simd2(59),
  geS: simd2(63),
  abs: simd1(160),
  neg: simd1(161),
  shl: shift(171),
  shrS: shift(172),
  shrU: shift(173),
  add: simd2(174),
  sub: simd2(177),
  mul: simd2(181),
  minS: simd2(182),
  minU: simd2(183),
  maxS: simd2(184),
  maxU: simd2(185),
  /** Truncation, saturating; NaN gives 0. */
  fromFloat: simd1(248),
};

export const f32x4 = {
  splat: (value: number): Code => v128.floats([value, value, value, value]),
  eq: simd2(65),
  ne: simd2(66),
  lt: simd2(67),
  gt: simd2(68),
  le: simd2(69),
  ge: simd2(70),
  floor: simd1(104),
  nearest: simd1(106),
  abs: simd1(224),
  neg: simd1(225),
  sqrt: simd1(227),
  add: simd2(228),
  sub: simd2(229),
  mul: simd2(230),
  div: simd2(231),
  min: simd2(232),
  max: simd2(233),
  /** y < x ? y : x; one instruction of the machine, where `min` takes several. */
  lesser: simd2(234),
  /** x < y ? y : x */
  greater: simd2(235),
  fromInt: simd1(250),
  /** x · y + z in one rounding or two, as the machine likes (relaxed SIMD). */
  relaxedMadd: simd3(0x105),
};
