/** Where the panels of a product lie in scratch memory. */
import { TILE_COLUMNS } from './microKernel.js';
import type { Tiling } from './tiling.js';

/** Bytes between the rows of a tile in scratch. */
export const TILE_STRIDE = 4 * TILE_COLUMNS;

/** Byte offsets by product; panels of rhs are shared where the threads split the rows. */
export interface Layout {
  /** Tiles whose epilogue is still to come. */
  readonly tiles: readonly number[];
  /** A block of panels of lhs. */
  readonly lhs: readonly number[];
  /** Panels of rhs. */
  readonly rhs: readonly number[];
  readonly privateBytes: number;
  readonly sharedBytes: number;
}

/** Offsets of areas one after another, each on a line of the cache of its own. */
function inOrder(sizes: readonly number[], start: number) {
  const offsets: number[] = [];
  let end = start;
  for (const size of sizes) {
    offsets.push(end);
    end += Math.ceil(size / 64) * 64;
  }
  return { offsets, end };
}

export function layoutOf(tiling: Tiling): Layout {
  const { products, blockPanels, partPanels, batchSize, tileRows, split } = tiling;
  const tiles = inOrder(
    products.map(() => tileRows * TILE_STRIDE),
    0,
  );
  const lhs = inOrder(
    products.map((p) => p.lhsPanelBytes * blockPanels),
    tiles.end,
  );
  const isShared = split === 'rows';
  const rhs = inOrder(
    products.map((p) => p.rhsPanelBytes * partPanels * (isShared ? batchSize : 1)),
    isShared ? 0 : lhs.end,
  );
  return {
    tiles: tiles.offsets,
    lhs: lhs.offsets,
    rhs: rhs.offsets,
    privateBytes: isShared ? lhs.end : rhs.end,
    sharedBytes: isShared ? rhs.end : 0,
  };
}
