/** The shapes in which products are cut into tiles, and which of them suits a product. */

/** What one workgroup computes of a product, and how its invocations share it. */
export interface Tile {
  /** Outputs of a workgroup. */
  readonly rows: number;
  readonly columns: number;
  /** Outputs of one invocation, held in registers. */
  readonly rowsEach: number;
  readonly columnsEach: number;
  /** Terms that are copied to workgroup memory at a time; a multiple of 4. */
  readonly depth: number;
}

/** A tile, and into how many parts the sums are cut, which are added up afterwards. */
export interface Tiling {
  readonly tile: Tile;
  readonly parts: number;
}

/** What matters for the choice. */
export interface ProductShape {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  /** Terms of a sum. */
  readonly terms: number;
  /** Sums that one kernel takes together. */
  readonly products: number;
  /** Whether random numbers are drawn while an operand is copied. */
  readonly noise: { readonly left: boolean; readonly right: boolean };
}

const tile = (
  rows: number,
  columns: number,
  rowsEach: number,
  columnsEach: number,
  depth: number,
): Tile => ({ rows, columns, rowsEach, columnsEach, depth });

/** From square to skinny: rank-8 adapters make products of eight rows or columns. */
export const TILES: readonly Tile[] = [
  tile(128, 128, 8, 8, 16),
  // Noise along the short side is drawn for many lines of the other.
  tile(256, 64, 8, 8, 16),
  tile(64, 256, 8, 8, 16),
  tile(128, 64, 8, 4, 16),
  tile(64, 128, 4, 8, 16),
  tile(64, 64, 4, 4, 16),
  tile(32, 32, 4, 4, 32),
  tile(16, 16, 2, 2, 32),
  tile(128, 8, 4, 1, 16),
  tile(8, 128, 1, 4, 16),
  tile(64, 16, 4, 1, 16),
  tile(16, 64, 1, 4, 16),
  tile(16, 16, 4, 4, 16),
];

/** Smaller workgroups would leave a part of a GPU's processor idle. */
const FEWEST_LANES = 32;

/** Rows and columns of a tile on matrix units. */
export const MATRIX_TILE_SIZE = 64;

export const lanesOf = (t: Tile): number => (t.rows / t.rowsEach) * (t.columns / t.columnsEach);

/** Elements of a row of a tile in workgroup memory, in vectors of 4; odd, so that banks differ. */
export const pitchOf = (t: Tile): number => t.depth / 4 + 1;

/** Bytes of workgroup memory that a tile takes for one product. */
export const tileBytes = (t: Tile): number => 16 * (t.rows + t.columns) * pitchOf(t);

/** What a workgroup of the device can have. */
export interface TileLimits {
  readonly lanes: number;
  readonly workgroupBytes: number;
}

/** The tiles that a device can run for products of a kernel. */
export const tilesFor = ({ products }: ProductShape, limits: TileLimits): readonly Tile[] =>
  TILES.filter(
    (t) =>
      lanesOf(t) <= limits.lanes &&
      lanesOf(t) >= Math.min(FEWEST_LANES, limits.lanes) &&
      tileBytes(t) <= limits.workgroupBytes &&
      // More sums than registers would spill.
      t.rowsEach * t.columnsEach * products <= 64,
  );

/** Workgroups that keep a large GPU busy. */
const BUSY = 128;
/** A part of a sum is at least so long. */
const SHORTEST_PART = 128;
const MOST_PARTS = 32;

/** What copying an element costs, in multiplications; eight normal numbers take a Threefry block. */
const COPY = 2;
const NOISE = 25;

/** About how long a tiling takes: multiplications of the busiest processor, and what goes with them. */
function score(shape: ProductShape, { tile: t, parts }: Tiling): number {
  const { batch, rows, columns, terms, noise } = shape;
  const tiles = batch * Math.ceil(rows / t.rows) * Math.ceil(columns / t.columns) * parts;
  const rounds = Math.max(1, tiles / BUSY);
  // Reads of workgroup memory are shared by the outputs that an invocation holds.
  const multiplying = t.rows * t.columns * (1 + 1.5 * (1 / t.rowsEach + 1 / t.columnsEach));
  const copying = t.rows * (noise.left ? NOISE : COPY) + t.columns * (noise.right ? NOISE : COPY);
  const perTile = Math.ceil(terms / parts / t.depth) * t.depth * (multiplying + copying);
  // Parts are written, read and added up in a launch of their own.
  const joining = parts === 1 ? 0 : 20_000 + (8 * parts * batch * rows * columns) / BUSY;
  return rounds * perTile + joining;
}

/** All tilings of a product, the most promising first. @param tiles those that are possible. */
export function tilingsOf(
  shape: ProductShape,
  limits: TileLimits,
  tiles: readonly Tile[] = tilesFor(shape, limits),
): readonly Tiling[] {
  const partsOf = [1, 2, 4, 8, 16, MOST_PARTS].filter(
    (p) => p === 1 || shape.terms / p >= SHORTEST_PART,
  );
  return tiles
    .flatMap((t) => partsOf.map((parts): Tiling => ({ tile: t, parts })))
    .map((tiling) => ({ tiling, cost: score(shape, tiling) }))
    .sort((a, b) => a.cost - b.cost)
    .map(({ tiling }) => tiling);
}

/** Whether tiles pay at all: shorter or narrower products are as quick an output at a time. */
export const isWorthTiles = ({ batch, rows, columns, terms }: ProductShape): boolean =>
  terms >= 8 && Math.min(rows, columns) >= 4 && batch * rows * columns >= 256;
