/**
 * Sums of products on matrix units (tensor cores), by Dawn's experimental subgroup matrices: operands
 * float16, sums float32. Four subgroups share a tile of 64 × 64, each has a quarter of 32 × 32.
 */
import { range } from '../../../autodiff/index.js';
import { MATRIX_TILE_SIZE, type Tile } from '../tiles.js';
import type { SumLines } from './product.js';
import { type ProductContext, walkTerms } from './productCopy.js';

/** The sizes of one operation: [rows × terms] · [terms × columns]. */
export interface MatrixUnit {
  readonly rows: number;
  readonly columns: number;
  readonly terms: number;
  /** Invocations of a subgroup, the same for every kernel. */
  readonly subgroup: number;
}

export const MATRIX_EXTENSIONS: readonly string[] = [
  'enable f16;',
  'enable subgroups;',
  'enable chromium_experimental_subgroup_matrix;',
  // Places depend on the subgroup alone, which the analysis of lanes does not see.
  'diagnostic(off, chromium.subgroup_matrix_uniformity);',
];

/** Invocations of the four subgroups, as a tile of theirs. */
export function matrixTile({ subgroup }: MatrixUnit): Tile {
  const size = MATRIX_TILE_SIZE;
  return {
    rows: size,
    columns: size,
    rowsEach: size / 16,
    columnsEach: (4 * size) / subgroup,
    depth: 32,
  };
}

export function matrixSums(
  context: ProductContext,
  { rows, columns, terms, subgroup }: MatrixUnit,
): SumLines {
  const { product, tiling, memory } = context;
  const { tile, parts } = tiling;
  const size = MATRIX_TILE_SIZE;
  const pitch = 4 * memory.pitch;
  const [across, down] = [size / 2 / columns, size / 2 / rows];
  const blocks = range(down).flatMap((i) => range(across).map((j) => ({ i, j })));
  const multiply = [
    `for (var k = 0u; k < ${tile.depth}u; k += ${terms}u) {`,
    ...range(down).map(
      (i) =>
        `  let a${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${terms}, ${rows}>>(&leftTile, (quarterRow + ${i * rows}u) * ${pitch}u + k, false, ${pitch}u);`,
    ),
    // A line of the right tile is a column: the matrix lies there column by column.
    ...range(across).flatMap((j) => [
      `  let b${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${columns}, ${terms}>>(&rightTile, (quarterColumn + ${j * columns}u) * ${pitch}u + k, true, ${pitch}u);`,
      ...range(down).map(
        (i) => `  sum_${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, sum_${i}_${j});`,
      ),
    ]),
    '}',
  ];
  const [sum] = product.sums;
  if (sum === undefined || product.sums.length !== 1) {
    throw new Error('webgpu: matrix units take one sum a kernel');
  }
  return {
    definitions: [`var<workgroup> sums: array<f32, ${size * size}>;`],
    body: [
      `let subgroup = lane / ${subgroup}u;`,
      `let quarterRow = (subgroup / 2u) * ${size / 2}u;`,
      `let quarterColumn = (subgroup % 2u) * ${size / 2}u;`,
      ...blocks.map(
        ({ i, j }) => `var sum_${i}_${j}: subgroup_matrix_result<f32, ${columns}, ${rows}>;`,
      ),
      ...walkTerms(context, sum, 0, multiply),
      ...blocks.map(
        ({ i, j }) =>
          `subgroupMatrixStore(&sums, (quarterRow + ${i * rows}u) * ${size}u + quarterColumn + ${j * columns}u, sum_${i}_${j}, false, ${size}u);`,
      ),
      'workgroupBarrier();',
      `for (var entry = lane; entry < ${size * size}u; entry += ${memory.lanes}u) {`,
      `  let row = firstRow + i32(entry / ${size}u);`,
      `  let column = firstColumn + i32(entry % ${size}u);`,
      `  finish(batch, row, column${parts > 1 ? ', part' : ''}, sums[entry]);`,
      '}',
    ],
  };
}
