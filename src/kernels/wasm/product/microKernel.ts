/**
 * The innermost part of every product: a tile of the output, a few rows by `TILE_COLUMNS` columns, is
 * summed up in registers while one column of a packed panel of lhs meets one row of a packed panel of
 * rhs after the other.
 *
 * Vector registers are what there is too little of: V8 gives x86-64 code fifteen. Six rows take twelve
 * for the sums, two for the row of rhs and one for an element of lhs. But V8 moves all loads of a
 * basic block to its beginning, more than there are registers for; so each row ends its block with a
 * branch that is never taken. Measured on one core, against a loop of multiply-adds alone: 97 % with,
 * 59 % without.
 *
 * Reference: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.
 */
import type { Code, WasmFunction } from '../encoding.js';
import { block, breakIf, f32x4, forever, get, i32, set, v128 } from '../instructions.js';
import { createWriter } from '../writer.js';

/** Columns of a tile: two vectors. */
export const TILE_COLUMNS = 8;
const VECTORS = TILE_COLUMNS / 4;
/** Terms per turn of the loop. */
const UNROLL = 2;

export interface MicroKernelOptions {
  readonly rows: number;
  readonly relaxed: boolean;
}

/** Rows of the tiles that there are kernels for, the fastest first. */
export const tileRows = (relaxed: boolean): readonly number[] => (relaxed ? [6, 4] : [4]);

/** Whether rows end basic blocks: without fused multiply-adds four rows do better with one block. */
const endsBlocks = ({ rows }: MicroKernelOptions): boolean => rows > 4;

/**
 * Parameters: address of the panel of lhs (`rows` elements per term), of that of rhs (`TILE_COLUMNS`
 * per term), number of terms (at least 1), address of the tile, bytes between its rows.
 */
export function microKernel(options: MicroKernelOptions): WasmFunction {
  const { rows, relaxed } = options;
  const writer = createWriter(['i32', 'i32', 'i32', 'i32', 'i32']);
  const [lhs, rhs, terms, tile, stride] = [0, 1, 2, 3, 4] as const;
  const sums = Array.from({ length: rows * VECTORS }, () =>
    writer.define('v128', v128.words([0, 0, 0, 0])),
  );
  const right = Array.from({ length: VECTORS }, () => writer.local('v128'));
  const left = Array.from({ length: rows }, () => writer.local('v128'));
  const lhsBytes = 4 * rows;
  const end = writer.define(
    'i32',
    i32.add(get(lhs), i32.mul(i32.sub(get(terms), i32.const(1)), i32.const(lhsBytes))),
  );
  // Where lhs stands when term k of a turn is the last one; and where it never stands.
  const ends = Array.from({ length: UNROLL }, (_, k) =>
    writer.define('i32', i32.sub(get(end), i32.const(lhsBytes * k))),
  );
  const never = writer.define('i32', i32.add(get(end), i32.const(1)));
  const isAt = (place: number, offset: number): Code =>
    i32.eq(get(lhs), i32.add(get(place), i32.const(offset)));
  const madd = (x: Code, y: Code, z: Code): Code =>
    relaxed ? f32x4.relaxedMadd(x, y, z) : f32x4.add(z, f32x4.mul(x, y));
  const body: Code[] = [];
  for (let k = 0; k < UNROLL; k++) {
    right.forEach((r, v) => {
      body.push(set(r, v128.load(get(rhs), 4 * TILE_COLUMNS * k + 16 * v)));
    });
    const load = (l: number, row: number) =>
      set(l, v128.loadSplat(get(lhs), lhsBytes * k + 4 * row));
    if (!endsBlocks(options)) body.push(left.flatMap(load));
    left.forEach((l, row) => {
      if (endsBlocks(options)) body.push(load(l, row));
      right.forEach((r, v) => {
        const sum = sums[row * VECTORS + v] as number;
        body.push(set(sum, madd(get(l), get(r), get(sum))));
      });
      // Odd offsets from an even address; each its own, or the engine would see through it.
      const within = endsBlocks(options) && row < rows - 1;
      if (within) body.push(breakIf(isAt(never, 2 * (k * rows + row)), 1));
    });
    body.push(breakIf(isAt(ends[k] as number, 0), 1));
  }
  body.push(set(lhs, i32.add(get(lhs), i32.const(lhsBytes * UNROLL))));
  body.push(set(rhs, i32.add(get(rhs), i32.const(4 * TILE_COLUMNS * UNROLL))));
  writer.emit(block(forever(body.flat())));
  sums.forEach((sum, i) => {
    const row = Math.floor(i / VECTORS);
    const address = i32.add(get(tile), i32.mul(get(stride), i32.const(row)));
    writer.emit(v128.store(address, get(sum), 16 * (i % VECTORS)));
  });
  return writer.finish();
}
