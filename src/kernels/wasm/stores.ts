/** Results of vectors written to memory. */
import type { DType } from '../../autodiff/index.js';
import { isHalf } from '../../autodiff/index.js';
import type { Code } from './encoding.js';
import { get, i32, i32x4, v128, when } from './instructions.js';
import { bytesOf } from './loads.js';
import type { Lanes, VectorVariable } from './nest.js';
import type { Local, Writer } from './writer.js';

const asStored = (x: Code, dtype: DType): Code =>
  dtype === 'bool' ? v128.and(x, i32x4.constant(1)) : x;

const storeLane = (address: Code, x: Code, lane: number, dtype: DType, offset: number): Code =>
  isHalf(dtype) ? v128.store16(address, x, lane, offset) : v128.storeLane(address, x, lane, offset);

/** Writes one element, the first lane. */
export function storeOne(writer: Writer, address: Local, value: Lanes, dtype: DType): void {
  const stored = asStored(get(value[0] as Local), dtype);
  writer.emit(storeLane(get(address), stored, 0, dtype, 0));
}

/** Writes the elements of a vector step to neighbouring places, as many as the loop has left. */
export function storeRow(
  writer: Writer,
  address: Local,
  lanes: Lanes,
  dtype: DType,
  { width, ragged, variable }: VectorVariable,
  first: Local,
): void {
  const bytes = bytesOf(dtype);
  const vectors = Array.from({ length: width / 4 }, (_, u) =>
    writer.define('v128', asStored(get(lanes[lanes.length === 1 ? 0 : u] as Local), dtype)),
  );
  const whole = vectors.flatMap((x, u) =>
    isHalf(dtype)
      ? [0, 1, 2, 3].flatMap((lane) =>
          storeLane(get(address), get(x), lane, dtype, bytes * (4 * u + lane)),
        )
      : v128.store(get(address), get(x), 16 * u),
  );
  if (!ragged) {
    writer.emit(whole);
    return;
  }
  const left = writer.define('i32', i32.sub(i32.const(variable.size), get(first)));
  const few = vectors.flatMap((x, u) =>
    [0, 1, 2, 3].flatMap((lane) => {
      const at = 4 * u + lane;
      return when(
        i32.gtS(get(left), i32.const(at)),
        storeLane(get(address), get(x), lane, dtype, bytes * at),
      );
    }),
  );
  writer.emit(when(i32.geS(get(left), i32.const(width)), whole, few));
}
