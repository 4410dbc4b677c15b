/**
 * Copying operands of products to workgroup memory, a tile at a time. Operands are computed while they
 * are copied: noise is drawn there, half-precision weights are widened there.
 */
import { NORMALS_PER_BLOCK, range } from '../../../autodiff/index.js';
import { type Expression, nodesOf } from '../../plan/expression.js';
import { type LoopVariable, ofAtom } from '../../plan/position.js';
import { accessOf, type ProductPlan, type ProductSum, sizeOfLoops } from '../products.js';
import { loopsFrom, loopsInGroup, substitute } from '../substitute.js';
import type { Tile, Tiling } from '../tiles.js';
import type { KernelBindings } from './bindings.js';
import { fourTerms } from './fourTerms.js';
import type { WgslFunction } from './functions.js';
import { indent, writeFunction } from './writer.js';

/** How a tile lies in workgroup memory: lines one after another, along a line the terms. */
export interface TileMemory {
  /** Elements of the arrays: four terms, or one. */
  readonly element: 'vec4f' | 'vec4h' | 'f16';
  /** From a line to the next, in fours of terms. */
  readonly pitch: number;
  readonly lanes: number;
}

/** A product kernel while it is written. */
export interface ProductContext {
  readonly product: ProductPlan;
  readonly tiling: Tiling;
  readonly memory: TileMemory;
  readonly bindings: KernelBindings;
  readonly called: Set<WgslFunction>;
}

interface Side {
  readonly name: 'left' | 'right';
  readonly operand: Expression;
  /** The output's axes along which the operand varies. */
  readonly along: readonly LoopVariable[];
  /** Lines (rows or columns) of the tile. */
  readonly lines: number;
}

export const loop = (name: string, size: number): LoopVariable => ({ kind: 'loop', name, size });

const sidesOf = (
  { product, tiling }: ProductContext,
  { lhs, rhs }: ProductSum,
): readonly Side[] => [
  { name: 'left', operand: lhs, along: product.rows, lines: tiling.tile.rows },
  { name: 'right', operand: rhs, along: product.columns, lines: tiling.tile.columns },
];

/** The arrays of workgroup memory; all sums of a kernel use the same. */
export function tileArrays({ tiling, memory }: ProductContext): readonly string[] {
  const { rows, columns } = tiling.tile;
  const perLine = memory.pitch * (memory.element === 'f16' ? 4 : 1);
  return [
    `var<workgroup> leftTile: array<${memory.element}, ${rows * perLine}>;`,
    `var<workgroup> rightTile: array<${memory.element}, ${columns * perLine}>;`,
  ];
}

/** A statement that stores four terms (a vec4f) at a place, in fours of terms. */
function storeFour(name: string, place: string, four: string, element: TileMemory['element']) {
  if (element !== 'f16') {
    return `${name}Tile[${place}] = ${element === 'vec4f' ? four : `vec4h(${four})`};`;
  }
  const parts = range(4).map((i) => `${name}Tile[4u * (${place}) + ${i}u] = four[${i}];`);
  return `{ let four = vec4h(${four}); ${parts.join(' ')} }`;
}

const drawsNormals = (operand: Expression): boolean =>
  nodesOf(operand).some((e) => e.kind === 'randomNormal');

/** Lines, and fours of terms of each, that are copied together, since neighbours share a block of random words. */
function copiedTogether(
  { operand, along }: Side,
  sum: ProductSum,
  { depth }: Tile,
): { readonly together: number; readonly fours: number } {
  const normals = drawsNormals(operand);
  if (accessOf(operand, along, sum).noiseAlongLines) {
    const size = along.at(-1)?.size ?? 1;
    const most = normals ? NORMALS_PER_BLOCK : 2;
    return { together: [8, 4].find((n) => n <= most && size % n === 0) ?? 2, fours: 1 };
  }
  const terms = sum.contracted.at(-1)?.size ?? 1;
  const fits = terms % NORMALS_PER_BLOCK === 0 && depth % NORMALS_PER_BLOCK === 0;
  return { together: 1, fours: normals && fits ? NORMALS_PER_BLOCK / 4 : 1 };
}

/** The functions that copy four terms of a line, or a few neighbouring fours, of each operand of a sum. */
export function copyFunctions(
  context: ProductContext,
  sum: ProductSum,
  number: number,
): readonly string[] {
  const { product, memory, bindings, called, tiling } = context;
  const terms = sizeOfLoops(sum.contracted);
  const batch = loop('batch', sizeOfLoops(product.batch));
  return sidesOf(context, sum).map((side) => {
    const { together, fours } = copiedTogether(side, sum, tiling.tile);
    const line = loop('line', Math.ceil(sizeOfLoops(side.along) / together));
    const group = loop('group', Math.ceil(terms / (4 * fours)));
    const head = `${side.name}${number}Copy(batch: i32, line: i32, group: i32, place: u32)`;
    return writeFunction(head, called, (writer) => {
      const places = range(together).flatMap((neighbour) =>
        range(fours).map((four) => ({ neighbour, four })),
      );
      const bodies = places.map(({ neighbour, four }) =>
        range(4).map((nth) =>
          substitute(
            side.operand,
            new Map([
              ...loopsFrom(product.batch, ofAtom(batch)),
              ...loopsInGroup(side.along, line, together, neighbour),
              ...loopsInGroup(sum.contracted, group, 4 * fours, 4 * four + nth),
            ]),
          ),
        ),
      );
      fourTerms(bodies, writer, bindings).forEach((texts, i) => {
        // Beyond the last term nothing may be added, whatever was read; eights end with the terms.
        const values = texts.map((value, nth) =>
          terms % 4 === 0 || nth < terms % 4
            ? value
            : `select(0.0, ${value}, group < ${Math.floor(terms / 4)})`,
        );
        const { neighbour, four } = places[i] as (typeof places)[number];
        const ahead = neighbour * memory.pitch + four;
        const place = ahead === 0 ? 'place' : `place + ${ahead}u`;
        writer.line(storeFour(side.name, place, `vec4f(${values.join(', ')})`, memory.element));
      });
    });
  });
}

/** The loop by which the workgroup copies one operand's tile. */
function copyLoop(
  { tiling, memory }: ProductContext,
  sum: ProductSum,
  number: number,
  side: Side,
): readonly string[] {
  const { pitch, lanes, element } = memory;
  const { name, lines } = side;
  const { together, fours } = copiedTogether(side, sum, tiling.tile);
  const [lineGroups, groups] = [lines / together, tiling.tile.depth / (4 * fours)];
  const entries = lineGroups * groups;
  const all = Math.ceil(sizeOfLoops(sum.contracted) / (4 * fours));
  const first = name === 'left' ? 'firstRow' : 'firstColumn';
  // Neighbouring invocations read neighbours in memory.
  const [line, group] = accessOf(side.operand, side.along, sum).alongLines
    ? [`entry % ${lineGroups}u`, `entry / ${lineGroups}u`]
    : [`entry / ${groups}u`, `entry % ${groups}u`];
  const times = fours === 1 ? '' : `${fours}u * `;
  const start = fours === 1 ? 'start' : `start / ${fours}`;
  const call = `${name}${number}Copy(batch, ${first} / ${together} + i32(line), ahead, place);`;
  const copy = [
    `let line = ${line};`,
    `let group = ${group};`,
    `let place = line * ${pitch * together}u + ${times}group;`,
    `let ahead = ${start} + i32(group);`,
    ...(all % groups === 0
      ? [call]
      : [
          `if (ahead < ${all}) {`,
          `  ${call}`,
          '} else {',
          ...range(together).flatMap((i) =>
            range(fours).map(
              (four) => `  ${storeFour(name, `place + ${i * pitch + four}u`, 'vec4f()', element)}`,
            ),
          ),
          '}',
        ]),
  ];
  return entries === lanes
    ? ['{', '  let entry = lane;', ...indent(copy), '}']
    : [`for (var entry = lane; entry < ${entries}u; entry += ${lanes}u) {`, ...indent(copy), '}'];
}

/**
 * Walks along the terms of a sum: copies tiles, does `multiply` with them, goes on. With several parts a
 * workgroup takes its part of the walk.
 */
export function walkTerms(
  context: ProductContext,
  sum: ProductSum,
  number: number,
  multiply: readonly string[],
): readonly string[] {
  const { tile, parts } = context.tiling;
  const width = tile.depth / 4;
  const steps = Math.ceil(Math.ceil(sizeOfLoops(sum.contracted) / 4) / width);
  const perPart = Math.ceil(steps / parts) * width;
  const [from, to] =
    parts === 1
      ? ['0', `${steps * width}`]
      : [`part * ${perPart}`, `min((part + 1) * ${perPart}, ${steps * width})`];
  return [
    `for (var start = ${from}; start < ${to}; start += ${width}) {`,
    ...indent([
      ...sidesOf(context, sum).flatMap((side) => copyLoop(context, sum, number, side)),
      'workgroupBarrier();',
      ...multiply,
      'workgroupBarrier();',
    ]),
    '}',
  ];
}
