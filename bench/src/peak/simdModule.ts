/**
 * A WebAssembly module, written by hand, that does nothing but multiply and add in registers: what its
 * loop reaches is the limit of every kernel on this engine and machine.
 *
 * `run(n)` makes n rounds of ten chains of `f32x4` operations; ten hide the latency of an addition
 * behind the others. Each chain is acc ← acc · x + y, in two instructions or, relaxed, in one.
 */

const CHAINS = 10;

/** Floating-point operations of one round: four lanes, a multiplication and an addition. */
export const FLOPS_PER_ROUND = CHAINS * 4 * 2;

/** LEB128, in which WebAssembly writes unsigned integers. */
function unsigned(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...unsigned(value >>> 7)];
}

const vector = (items: readonly (readonly number[])[]): number[] => [
  ...unsigned(items.length),
  ...items.flat(),
];

const section = (id: number, content: readonly number[]): number[] => [
  id,
  ...unsigned(content.length),
  ...content,
];

const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const simd = (opcode: number): number[] => [0xfd, ...unsigned(opcode)];
const SPLAT = simd(0x13);
const ADD = simd(0xe4);
const MULTIPLY = simd(0xe6);
const RELAXED_MADD = simd(0x105);
const EXTRACT_LANE_0 = [...simd(0x1f), 0];

const f32Const = (value: number): number[] => [
  0x43,
  ...new Uint8Array(new Float32Array([value]).buffer),
];

/** The module's bytes; with `relaxed` it needs the relaxed SIMD proposal. */
export function simdModule(relaxed: boolean): Uint8Array<ArrayBuffer> {
  // Locals: 0 the count n, 1 x, 2 y, then the accumulators.
  const accumulators = Array.from({ length: CHAINS }, (_, i) => 3 + i);
  const get = (local: number) => [LOCAL_GET, local];
  const set = (local: number) => [LOCAL_SET, local];
  const step = (acc: number): number[] =>
    relaxed
      ? [...get(acc), ...get(1), ...get(2), ...RELAXED_MADD, ...set(acc)]
      : [...get(acc), ...get(1), ...MULTIPLY, ...get(2), ...ADD, ...set(acc)];
  const body = [
    ...vector([[CHAINS + 2, V128]]),
    ...[...f32Const(0.999), ...SPLAT, ...set(1)],
    ...[...f32Const(0.001), ...SPLAT, ...set(2)],
    // loop: all chains, n ← n − 1, again while n ≠ 0
    ...[0x03, 0x40],
    ...accumulators.flatMap(step),
    ...[...get(0), 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0],
    0x0b,
    ...accumulators.flatMap((acc, i) => (i === 0 ? get(acc) : [...get(acc), ...ADD])),
    ...EXTRACT_LANE_0,
    0x0b,
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector([[I32]]), ...vector([[F32]])]])),
    ...section(3, vector([unsigned(0)])),
    ...section(7, vector([[...vector([...'run'].map((c) => [c.charCodeAt(0)])), 0x00, 0]])),
    ...section(10, vector([[...unsigned(body.length), ...body]])),
  ]);
}
