/**
 * What the WebAssembly engine can do, found by asking it to validate tiny modules: 128-bit vectors,
 * and the relaxed (fused) multiply-add that doubles the rate of products.
 */

/** The bytes of a module whose one function `() → ()` has the given instructions. */
const moduleOf = (instructions: readonly number[]): Uint8Array<ArrayBuffer> => {
  const body = [0x00, ...instructions, 0x0b]; // no locals, …, end
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00], // types: one, () → ()
    ...[0x03, 0x02, 0x01, 0x00], // functions: one, of type 0
    ...[0x0a, body.length + 2, 0x01, body.length, ...body], // code: one body
  ]);
};

const ZERO_VECTOR = [0x41, 0x00, 0xfd, 0x11]; // i32.const 0, i32x4.splat
const DROP = 0x1a;

/** Whether the engine has 128-bit vectors. */
export const hasSimd = (): boolean =>
  typeof WebAssembly === 'object' && WebAssembly.validate(moduleOf([...ZERO_VECTOR, DROP]));

/** Whether the engine has `f32x4.relaxed_madd`. */
export const hasRelaxedSimd = (): boolean =>
  typeof WebAssembly === 'object' &&
  WebAssembly.validate(
    moduleOf([...ZERO_VECTOR, ...ZERO_VECTOR, ...ZERO_VECTOR, 0xfd, 0x85, 0x02, DROP]),
  );
