/**
 * The binary format of WebAssembly modules, as far as our programs need it: functions over
 * integers and 128-bit vectors that share one imported memory.
 *
 * Reference: WebAssembly Core Specification 2.0, chapter 5, "Binary Format".
 */

/** Encoded instructions. */
export type Code = readonly number[];

export type ValueType = 'i32' | 'i64' | 'v128';

const TYPE_CODES: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, v128: 0x7b };

export interface WasmFunction {
  readonly params: readonly ValueType[];
  /** Types of the locals after the parameters. */
  readonly locals: readonly ValueType[];
  readonly body: Code;
  /** Visible from outside under this name. */
  readonly exportAs?: string;
}

/** An unsigned integer in LEB128, seven bits a byte, lowest first. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return bytes;
}

/** A signed 32-bit integer in LEB128. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

/** The four bytes of a number in float32, lowest first. */
export const floatBytes = (value: number): number[] => [
  ...new Uint8Array(Float32Array.of(value).buffer),
];

/** The four bytes of a 32-bit integer, lowest first. */
export const wordBytes = (value: number): number[] => [
  ...new Uint8Array(Int32Array.of(value | 0).buffer),
];

const text = (s: string): number[] => [...unsigned(s.length), ...new TextEncoder().encode(s)];

const vector = (items: readonly (readonly number[])[]): number[] => [
  ...unsigned(items.length),
  ...items.flat(),
];

const section = (id: number, content: readonly number[]): Uint8Array =>
  Uint8Array.from([id, ...unsigned(content.length), ...content]);

/** The code section, put together without copying every body several times. */
function codeSection(functions: readonly WasmFunction[]): readonly Uint8Array[] {
  const bodies = functions.map(({ locals, body }) => {
    const declared = vector(locals.map((type) => [1, TYPE_CODES[type]]));
    const size = declared.length + body.length + 1;
    return Uint8Array.from([...unsigned(size), ...declared].concat(body as number[], [0x0b]));
  });
  const count = unsigned(functions.length);
  const size = bodies.reduce((n, b) => n + b.length, count.length);
  return [Uint8Array.from([10, ...unsigned(size), ...count]), ...bodies];
}

/**
 * A module of functions, numbered in the given order, none with a result.
 * @param shared whether the memory `env.memory` that it imports is shared between threads.
 */
export function encodeModule(functions: readonly WasmFunction[], shared: boolean): Uint8Array {
  const signatures = [...new Set(functions.map((f) => f.params.join()))];
  const types = signatures.map((s) => {
    const params = s === '' ? [] : (s.split(',') as ValueType[]);
    return [0x60, ...vector(params.map((p) => [TYPE_CODES[p]])), 0];
  });
  const limits = shared ? [3, ...unsigned(1), ...unsigned(65536)] : [0, ...unsigned(1)];
  const exported = functions.flatMap(({ exportAs }, i) =>
    exportAs === undefined ? [] : [[...text(exportAs), 0, ...unsigned(i)]],
  );
  const pieces = [
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
    section(1, vector(types)),
    section(2, vector([[...text('env'), ...text('memory'), 2, ...limits]])),
    section(3, vector(functions.map((f) => unsigned(signatures.indexOf(f.params.join()))))),
    section(7, vector(exported)),
    ...codeSection(functions),
  ];
  const bytes = new Uint8Array(pieces.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
