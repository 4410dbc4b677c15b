/**
 * Products as tiled kernels. A workgroup fills a tile of the output: it copies a tile of each operand
 * to workgroup memory, a few terms deep, and every invocation sums up a block of outputs in registers.
 *
 * Operands are computed while they are copied (noise is drawn there, half-precision weights are
 * widened there), so they are never in memory; what the kernel does with the sums is done where they
 * are stored. Copies are vectors along the terms: a sum takes four of them at a time.
 */
import { range, type Var } from '../../../autodiff/index.js';
import type { Expression } from '../../plan/expression.js';
import { type LoopVariable, ofAtom } from '../../plan/position.js';
import { accessOf, type ProductPlan, type ProductSum, sizeOfLoops } from '../products.js';
import { loopsFrom, loopsInGroup, substitute, substituteInPosition } from '../substitute.js';
import { lanesOf, pitchOf, type Tiling } from '../tiles.js';
import { type ArrayLayout, type KernelBindings, kernelBindings } from './bindings.js';
import type { WgslFunction } from './functions.js';
import { type KernelCode, moduleOf } from './kernel.js';
import { valuePrinter } from './values.js';
import { createWriter, indent, type Writer } from './writer.js';

/** How tiles are held in workgroup memory. */
export type TilePrecision = 'f32' | 'f16';

const loop = (name: string, size: number): LoopVariable => ({ kind: 'loop', name, size });
/** Writes a function with a writer of its own. */
function writeFunction(
  head: string,
  called: Set<WgslFunction>,
  write: (writer: Writer) => void,
): string {
  const writer = createWriter(called);
  write(writer);
  return [`fn ${head} {`, ...indent(writer.text()), '}'].join('\n');
}

interface Side {
  /** `left` or `right`. */
  readonly name: string;
  readonly operand: Expression;
  /** The output's axes along which the operand varies. */
  readonly along: readonly LoopVariable[];
  /** Lines (rows or columns) of the tile. */
  readonly lines: number;
}

interface Context {
  readonly product: ProductPlan;
  readonly sum: ProductSum;
  readonly tiling: Tiling;
  readonly bindings: KernelBindings;
  readonly called: Set<WgslFunction>;
  readonly vector: 'vec4f' | 'vec4h';
}

/**
 * The function that copies part of an operand's tile: four terms of one line, or of two neighbouring
 * lines where noise is drawn along them (a block of random words serves two neighbours).
 */
function copyFunction(
  { product, sum, tiling, bindings, called, vector }: Context,
  { name, operand, along }: Side,
  together: number,
): string {
  const terms = sizeOfLoops(sum.contracted);
  const quarter = loop('quarter', Math.ceil(terms / 4));
  const line = loop('line', Math.ceil(sizeOfLoops(along) / together));
  const batch = loop('batch', sizeOfLoops(product.batch));
  return writeFunction(
    `${name}Copy(batch: i32, line: i32, quarter: i32, place: u32)`,
    called,
    (writer) => {
      const bodies = range(together).map((neighbour) =>
        range(4).map((nth) =>
          substitute(
            operand,
            new Map([
              ...loopsFrom(product.batch, ofAtom(batch)),
              ...loopsInGroup(along, line, together, neighbour),
              ...loopsInGroup(sum.contracted, quarter, 4, nth),
            ]),
          ),
        ),
      );
      const printer = valuePrinter({ writer, bindings }, bodies.flat());
      bodies.forEach((four, neighbour) => {
        const values = four.map((body, nth) => {
          const value = writer.local(printer.value(body, 'f32'));
          // Beyond the last term nothing may be added, whatever was read.
          return terms % 4 === 0 || nth < terms % 4
            ? value
            : `select(0.0, ${value}, quarter < ${Math.floor(terms / 4)})`;
        });
        const place = neighbour === 0 ? 'place' : `place + ${neighbour * pitchOf(tiling.tile)}u`;
        const four32 = `vec4f(${values.join(', ')})`;
        writer.line(`${name}Tile[${place}] = ${vector === 'vec4f' ? four32 : `vec4h(${four32})`};`);
      });
    },
  );
}

/** The loop by which the workgroup copies an operand's tile. */
function copyLoop(
  { sum, tiling, vector }: Context,
  { name, lines }: Side,
  together: number,
  alongLines: boolean,
): readonly string[] {
  const { tile } = tiling;
  const lanes = lanesOf(tile);
  const [groups, quarters, pitch] = [lines / together, tile.depth / 4, pitchOf(tile)];
  const entries = groups * quarters;
  const all = Math.ceil(sizeOfLoops(sum.contracted) / 4);
  const first = name.startsWith('left') ? 'firstRow' : 'firstColumn';
  // Neighbouring invocations read neighbours in memory.
  const [line, quarter] = alongLines
    ? [`entry % ${groups}u`, `entry / ${groups}u`]
    : [`entry / ${quarters}u`, `entry % ${quarters}u`];
  const copy = [
    `let line = ${line};`,
    `let quarter = ${quarter};`,
    `let place = line * ${pitch * together}u + quarter;`,
    `let ahead = start + i32(quarter);`,
    ...(all % quarters === 0
      ? [`${name}Copy(batch, ${first} / ${together} + i32(line), ahead, place);`]
      : [
          `if (ahead < ${all}) {`,
          `  ${name}Copy(batch, ${first} / ${together} + i32(line), ahead, place);`,
          '} else {',
          ...range(together).map((i) => `  ${name}Tile[place + ${i * pitch}u] = ${vector}();`),
          '}',
        ]),
  ];
  return entries % lanes === 0 && entries / lanes === 1
    ? ['{', '  let entry = lane;', ...indent(copy), '}']
    : [`for (var entry = lane; entry < ${entries}u; entry += ${lanes}u) {`, ...indent(copy), '}'];
}

/** The sums of one product over the terms `start` … `end`, into its registers. */
function sumUp(context: Context, number: number): readonly string[] {
  const { product, sum, tiling, vector } = context;
  const { tile, parts } = tiling;
  const [rowLanes, columnLanes] = [tile.rows / tile.rowsEach, tile.columns / tile.columnsEach];
  const pitch = pitchOf(tile);
  const quarters = Math.ceil(sizeOfLoops(sum.contracted) / 4);
  const steps = Math.ceil(quarters / (tile.depth / 4));
  const stepsPerPart = Math.ceil(steps / parts);
  const sides = sidesOf(product, sum, number, tiling);
  const wide = (text: string) => (vector === 'vec4f' ? text : `vec4f(${text})`);
  const multiply = [
    `for (var q = 0u; q < ${tile.depth / 4}u; q++) {`,
    ...range(tile.rowsEach).map(
      (i) =>
        `  let a${i} = ${wide(`left${number}Tile[(rowLane + ${i * rowLanes}u) * ${pitch}u + q]`)};`,
    ),
    ...range(tile.columnsEach).flatMap((j) => [
      `  let b${j} = ${wide(`right${number}Tile[(columnLane + ${j * columnLanes}u) * ${pitch}u + q]`)};`,
      ...range(tile.rowsEach).map((i) => `  sum${number}_${i}_${j} += dot(a${i}, b${j});`),
    ]),
    '}',
  ];
  const step = [
    ...sides.flatMap(({ side, together, alongLines }) =>
      copyLoop(context, side, together, alongLines),
    ),
    'workgroupBarrier();',
    ...multiply,
    'workgroupBarrier();',
  ];
  const width = tile.depth / 4;
  const bounds =
    parts === 1
      ? [`var start = 0; start < ${steps * width}`]
      : [
          `var start = part * ${stepsPerPart * width}; start < min((part + 1) * ${stepsPerPart * width}, ${steps * width})`,
        ];
  return [`for (${bounds[0]}; start += ${width}) {`, ...indent(step), '}'];
}

interface PreparedSide {
  readonly side: Side;
  readonly together: number;
  readonly alongLines: boolean;
}

/** Both operands of a product, and how their tiles are copied. */
function sidesOf(
  product: ProductPlan,
  sum: ProductSum,
  number: number,
  { tile }: Tiling,
): readonly PreparedSide[] {
  const both: readonly Side[] = [
    { name: `left${number}`, operand: sum.lhs, along: product.rows, lines: tile.rows },
    { name: `right${number}`, operand: sum.rhs, along: product.columns, lines: tile.columns },
  ];
  return both.map((side) => {
    const { alongLines, noiseAlongLines } = accessOf(side.operand, side.along, sum);
    return { side, alongLines, together: noiseAlongLines ? 2 : 1 };
  });
}

/** The function that stores an output's sums, after what the kernel does with them. */
function finishFunction(
  product: ProductPlan,
  bindings: KernelBindings,
  called: Set<WgslFunction>,
  parts: number,
): string {
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
      const printer = valuePrinter(
        {
          writer,
          bindings,
          finished: new Map(product.sums.map((s, i) => [s.marker, names[i] as string])),
        },
        [body],
      );
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
  precision: TilePrecision = 'f32',
): KernelCode {
  const called = new Set<WgslFunction>();
  const { tile, parts } = tiling;
  const reads = parts === 1 ? product.reads : product.operandReads;
  const bindings = kernelBindings([output], reads, layout);
  const vector = precision === 'f16' ? 'vec4h' : 'vec4f';
  const contexts = product.sums.map(
    (sum): Context => ({ product, sum, tiling, bindings, called, vector }),
  );
  const [rowTiles, columnTiles] = [
    Math.ceil(sizeOfLoops(product.rows) / tile.rows),
    Math.ceil(sizeOfLoops(product.columns) / tile.columns),
  ];
  const columnLanes = tile.columns / tile.columnsEach;
  const workgroups = sizeOfLoops(product.batch) * rowTiles * columnTiles * parts;
  const blocks = range(tile.rowsEach).flatMap((i) =>
    range(tile.columnsEach).map((j) => ({ i, j })),
  );
  const definitions = contexts.flatMap((context, number) => [
    ...sidesOf(product, context.sum, number, tiling).flatMap(({ side, together }) => [
      `var<workgroup> ${side.name}Tile: array<${vector}, ${side.lines * pitchOf(tile)}>;`,
      copyFunction(context, side, together),
    ]),
  ]);
  const body = [
    `if (workgroup >= ${workgroups}) { return; }`,
    `let tileOfAll = workgroup${parts > 1 ? ` / ${parts}` : ''};`,
    ...(parts > 1 ? [`let part = workgroup % ${parts};`] : []),
    `let firstColumn = (tileOfAll % ${columnTiles}) * ${tile.columns};`,
    `let firstRow = ((tileOfAll / ${columnTiles}) % ${rowTiles}) * ${tile.rows};`,
    `let batch = tileOfAll / ${columnTiles * rowTiles};`,
    `let rowLane = lane / ${columnLanes}u;`,
    `let columnLane = lane % ${columnLanes}u;`,
    ...contexts.flatMap((context, number) => [
      ...blocks.map(({ i, j }) => `var sum${number}_${i}_${j} = 0.0;`),
      ...sumUp(context, number),
    ]),
    ...blocks.map(({ i, j }) => {
      const row = `firstRow + i32(rowLane) + ${i * (tile.rows / tile.rowsEach)}`;
      const column = `firstColumn + i32(columnLane) + ${j * columnLanes}`;
      const sums = product.sums.map((_, s) => `sum${s}_${i}_${j}`).join(', ');
      return `finish(batch, ${row}, ${column}${parts > 1 ? ', part' : ''}, ${sums});`;
    }),
  ];
  const finish = finishFunction(product, bindings, called, parts);
  const lanes = lanesOf(tile);
  const source = moduleOf({
    bindings,
    called,
    definitions: [...definitions, finish],
    lanes,
    body,
  });
  return {
    source: precision === 'f16' ? `enable f16;\n${source}` : source,
    outputs: [output],
    reads,
    usesNormalTable: bindings.usesNormalTable(),
    written: bindings.written,
    read: bindings.read(),
    workgroups,
  };
}
