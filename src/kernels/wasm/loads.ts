/** Elements of buffers in vectors: neighbours at once, one for all lanes, or lane by lane. */
import { type DType, isHalf, sizeOf, type Var } from '../../autodiff/index.js';
import type { Expression } from '../plan/expression.js';
import { bounds, type Position } from '../plan/position.js';
import type { Code } from './encoding.js';
import { get, i32, i32x4, v128 } from './instructions.js';
import type { Lanes, Nest } from './nest.js';
import type { Local } from './writer.js';

/** Bytes of an element in memory. */
export const bytesOf = (dtype: DType): number => (isHalf(dtype) ? 2 : 4);

/** One element in every lane. */
const broadcast = (address: Code, dtype: DType): Code =>
  isHalf(dtype) ? i32x4.splat(i32.load16u(address)) : v128.loadSplat(address);

/** Four neighbouring elements. */
const neighbours = (address: Code, dtype: DType, vector: number): Code =>
  isHalf(dtype) ? v128.load16x4(address, 8 * vector) : v128.load(address, 16 * vector);

/** Elements at four addresses. */
function scattered(addresses: readonly Code[], dtype: DType): Code {
  if (isHalf(dtype)) {
    return addresses
      .slice(1)
      .reduce<Code>(
        (text, a, i) => i32x4.replaceLane(text, i + 1, i32.load16u(a)),
        i32x4.splat(i32.load16u(addresses[0] as Code)),
      );
  }
  return addresses
    .slice(1)
    .reduce<Code>(
      (text, a, i) => v128.loadLane(a, text, i + 1),
      v128.loadSplat(addresses[0] as Code),
    );
}

type Gather = Extract<Expression, { kind: 'gather' }>;

/** The loads of one function whose buffers' addresses are in locals. */
export function createLoads(nest: Nest, pointerOf: (buffer: Var) => Local) {
  const { writer } = nest;
  const { define } = writer;

  /** Bools are whole-lane masks in registers, 0 or 1 in memory. */
  const asRead = (text: Code, dtype: DType): Code =>
    dtype === 'bool' ? i32x4.ne(text, i32x4.constant(0)) : text;

  /** An index kept within low … high, for reads whose result is thrown away when outside. */
  const clamped = (index: Local, low: number, high: number): Local => {
    const raised = define(
      'i32',
      i32.select(get(index), i32.const(low), i32.gtS(get(index), i32.const(low))),
    );
    return define(
      'i32',
      i32.select(get(raised), i32.const(high), i32.ltS(get(raised), i32.const(high))),
    );
  };

  const addressOf = (pointer: Local, index: Local, bytes: number): Code =>
    i32.add(get(pointer), i32.mul(get(index), i32.const(bytes)));

  /** The element of a buffer at a position. */
  const load = (buffer: Var, at: Position): Lanes => {
    const pointer = pointerOf(buffer);
    const { dtype } = buffer;
    const bytes = bytesOf(dtype);
    const size = sizeOf(buffer.shape);
    const [low, high] = bounds(at);
    const inside = low >= 0 && high < size;
    const stride = nest.stride(at);
    const read = (text: Code): Local => define('v128', asRead(text, dtype));
    /** The address of an element; outside the buffer it is that of some element near an end. */
    const place = (lane: number, spare: number): Code =>
      inside
        ? get(nest.address(pointer, at, bytes, lane))
        : addressOf(pointer, clamped(nest.index(at, lane), -spare, size - 1), bytes);
    if (stride === 0) return [read(broadcast(place(0, 0), dtype))];
    const vectors = Array.from({ length: nest.unroll() }, (_, u) => u);
    if (stride === 1) {
      // Lanes before the buffer's start may be read (and are thrown away): memory there is ours.
      const start = define('i32', place(0, 8));
      return vectors.map((u) => read(neighbours(get(start), dtype, u)));
    }
    return vectors.map((u) =>
      read(
        scattered(
          [0, 1, 2, 3].map((lane) => place(4 * u + lane, 0)),
          dtype,
        ),
      ),
    );
  };

  /** The element `row · width + at`, 0 where the row is outside the buffer. */
  const gather = ({ buffer, rows, width, at }: Gather, row: Lanes, rowVaries: boolean): Lanes => {
    const pointer = pointerOf(buffer);
    const { dtype } = buffer;
    const bytes = bytesOf(dtype);
    const bound = i32x4.constant(rows);
    const last = i32x4.constant(rows - 1);
    const safe = row.map((r) => define('v128', i32x4.minU(get(r), last)));
    const masked = (text: Code, u: number): Local => {
      const own = get(row[rowVaries ? u : 0] as Local);
      return define('v128', asRead(v128.and(text, i32x4.ltU(own, bound)), dtype));
    };
    const startOf = (lane: number): Code => {
      const own = rowVaries ? lane : 0;
      const inRow = i32x4.lane(get(safe[own >> 2] as Local), own & 3);
      const index = i32.add(i32.mul(inRow, i32.const(width)), get(nest.index(at, lane)));
      return i32.add(get(pointer), i32.mul(index, i32.const(bytes)));
    };
    const vectors = Array.from({ length: nest.unroll() }, (_, u) => u);
    const stride = nest.stride(at);
    if (!rowVaries && stride === 0) return [masked(broadcast(startOf(0), dtype), 0)];
    if (!rowVaries && stride === 1) {
      const start = define('i32', startOf(0));
      return vectors.map((u) => masked(neighbours(get(start), dtype, u), u));
    }
    return vectors.map((u) =>
      masked(
        scattered(
          [0, 1, 2, 3].map((lane) => startOf(4 * u + lane)),
          dtype,
        ),
        u,
      ),
    );
  };

  return { load, gather };
}
