/**
 * Products as tiled kernels. A workgroup fills a tile of the output: it copies a tile of each operand
 * to workgroup memory, a few terms deep, and every invocation sums up a block of outputs in registers,
 * or a subgroup does on the GPU's matrix units. What the kernel does with the sums is done where they
 * are stored.
 */
import { range, type Var } from '../../../autodiff/index.js';
import { ofAtom } from '../../plan/position.js';
import { type ProductPlan, sizeOfLoops } from '../products.js';
import { loopsFrom, substitute, substituteInPosition } from '../substitute.js';
import { lanesOf, pitchOf, type Tiling } from '../tiles.js';
import { type ArrayLayout, kernelBindings } from './bindings.js';
import { type KernelCode, moduleOf } from './kernel.js';
import {
  copyFunctions,
  loop,
  type ProductContext,
  type TileMemory,
  tileArrays,
  walkTerms,
} from './productCopy.js';
import { MATRIX_EXTENSIONS, type MatrixUnit, matrixSums } from './productMatrix.js';
import { valuePrinter } from './values.js';
import { writeFunction } from './writer.js';

/** How tiles are held and multiplied: in float32, in float16, or in float16 on matrix units. */
export type TileForm = 'f32' | 'f16' | MatrixUnit;

/** Lines of an entry point: the sums, and how each output's are handed to `finish`. */
export interface SumLines {
  /** Further memory of the workgroup. */
  readonly definitions: readonly string[];
  readonly body: readonly string[];
}

function memoryOf({ tile }: Tiling, form: TileForm): TileMemory {
  const lanes = lanesOf(tile);
  // Loads of matrices want lines that begin at multiples of 16 bytes.
  if (typeof form !== 'string') return { element: 'f16', pitch: tile.depth / 4 + 2, lanes };
  return { element: form === 'f32' ? 'vec4f' : 'vec4h', pitch: pitchOf(tile), lanes };
}

/** Sums in registers: each invocation has a block of outputs, spread evenly over the tile. */
function registerSums(context: ProductContext): SumLines {
  const { product, tiling, memory } = context;
  const { tile, parts } = tiling;
  const [rowLanes, columnLanes] = [tile.rows / tile.rowsEach, tile.columns / tile.columnsEach];
  const blocks = range(tile.rowsEach).flatMap((i) =>
    range(tile.columnsEach).map((j) => ({ i, j })),
  );
  const wide = (text: string) => (memory.element === 'vec4f' ? text : `vec4f(${text})`);
  const multiply = (s: number) => [
    `for (var q = 0u; q < ${tile.depth / 4}u; q++) {`,
    ...range(tile.rowsEach).map(
      (i) =>
        `  let a${i} = ${wide(`leftTile[(rowLane + ${i * rowLanes}u) * ${memory.pitch}u + q]`)};`,
    ),
    ...range(tile.columnsEach).flatMap((j) => [
      `  let b${j} = ${wide(`rightTile[(columnLane + ${j * columnLanes}u) * ${memory.pitch}u + q]`)};`,
      ...range(tile.rowsEach).map((i) => `  sum${s}_${i}_${j} += dot(a${i}, b${j});`),
    ]),
    '}',
  ];
  return {
    definitions: [],
    body: [
      `let rowLane = lane / ${columnLanes}u;`,
      `let columnLane = lane % ${columnLanes}u;`,
      ...product.sums.flatMap((sum, s) => [
        ...blocks.map(({ i, j }) => `var sum${s}_${i}_${j} = 0.0;`),
        ...walkTerms(context, sum, s, multiply(s)),
      ]),
      ...blocks.map(({ i, j }) => {
        const row = `firstRow + i32(rowLane) + ${i * rowLanes}`;
        const column = `firstColumn + i32(columnLane) + ${j * columnLanes}`;
        const sums = product.sums.map((_, s) => `sum${s}_${i}_${j}`).join(', ');
        return `finish(batch, ${row}, ${column}${parts > 1 ? ', part' : ''}, ${sums});`;
      }),
    ],
  };
}

/** The function that stores an output's sums, after what the kernel does with them. */
function finishFunction({ product, tiling, bindings, called }: ProductContext): string {
  const { parts } = tiling;
  const names = product.sums.map((_, s) => `sum${s}`);
  const outputs = sizeOfLoops([...product.batch, ...product.rows, ...product.columns]);
  const places = new Map(
    [
      [product.batch, 'batch'] as const,
      [product.rows, 'row'] as const,
      [product.columns, 'column'] as const,
    ].flatMap(([loops, name]) => [...loopsFrom(loops, ofAtom(loop(name, sizeOfLoops(loops))))]),
  );
  const at = substituteInPosition(product.place, places);
  const parameters = names.map((n) => `, ${n}: f32`).join('');
  return writeFunction(
    `finish(batch: i32, row: i32, column: i32${parts > 1 ? ', part: i32' : ''}${parameters})`,
    called,
    (writer) => {
      const [rows, columns] = [sizeOfLoops(product.rows), sizeOfLoops(product.columns)];
      writer.line(`if (row >= ${rows} || column >= ${columns}) { return; }`);
      const body = substitute(product.body, places);
      const finished = new Map(product.sums.map((s, i) => [s.marker, names[i] as string]));
      const printer = valuePrinter({ writer, bindings, finished }, [body]);
      const index = writer.local(printer.positions.position(at));
      if (parts === 1) {
        writer.line(bindings.store(index, writer.local(printer.value(body, 'f32'))));
        return;
      }
      names.forEach((name, s) => {
        writer.line(bindings.store(`((${s} * ${parts} + part) * ${outputs} + ${index})`, name));
      });
    },
  );
}

/**
 * The kernel that fills the output of a product, or with several parts an array
 * [sums, parts, outputs] of sums that are still to be added up.
 */
export function printProduct(
  product: ProductPlan,
  tiling: Tiling,
  output: Var,
  layout: ArrayLayout,
  form: TileForm = 'f32',
): KernelCode {
  const { tile, parts } = tiling;
  const reads = parts === 1 ? product.reads : product.operandReads;
  const bindings = kernelBindings([output], reads, layout);
  const memory = memoryOf(tiling, form);
  const context: ProductContext = { product, tiling, memory, bindings, called: new Set() };
  const [rowTiles, columnTiles] = [
    Math.ceil(sizeOfLoops(product.rows) / tile.rows),
    Math.ceil(sizeOfLoops(product.columns) / tile.columns),
  ];
  const workgroups = sizeOfLoops(product.batch) * rowTiles * columnTiles * parts;
  const sums = typeof form === 'string' ? registerSums(context) : matrixSums(context, form);
  const definitions = [
    ...tileArrays(context),
    ...product.sums.flatMap((sum, s) => copyFunctions(context, sum, s)),
    ...sums.definitions,
    finishFunction(context),
  ];
  const source = moduleOf({
    bindings,
    called: context.called,
    definitions,
    lanes: memory.lanes,
    body: [
      `if (workgroup >= ${workgroups}) { return; }`,
      `let tileOfAll = workgroup${parts > 1 ? ` / ${parts}` : ''};`,
      ...(parts > 1 ? [`let part = workgroup % ${parts};`] : []),
      `let firstColumn = (tileOfAll % ${columnTiles}) * ${tile.columns};`,
      `let firstRow = ((tileOfAll / ${columnTiles}) % ${rowTiles}) * ${tile.rows};`,
      `let batch = tileOfAll / ${columnTiles * rowTiles};`,
      ...sums.body,
    ],
  });
  const extensions = form === 'f32' ? [] : form === 'f16' ? ['enable f16;'] : MATRIX_EXTENSIONS;
  return {
    source: [...extensions, source].join('\n'),
    outputs: [output],
    reads,
    usesNormalTable: bindings.usesNormalTable(),
    written: bindings.written,
    read: bindings.read(),
    workgroups,
  };
}
