/**
 * What the attention kernels share. Each works on a block of scores: some lines (queries, or keys) that
 * a workgroup keeps, against some partners that it walks through. Tiles of q, k, v and dOut lie in
 * workgroup memory as vectors of four numbers; of the scores only the block at hand is there.
 */
import { range } from '../../../autodiff/index.js';
import type { AttentionKernel, Load } from '../../plan/attention.js';
import { type LoopVariable, ofAtom } from '../../plan/position.js';
import { sizeOfLoops } from '../products.js';
import { loopsFrom, loopsInGroup, substitute } from '../substitute.js';
import type { TileLimits } from '../tiles.js';
import type { KernelBindings } from './bindings.js';
import { fourTerms } from './fourTerms.js';
import type { WgslFunction } from './functions.js';
import { valuePrinter } from './values.js';
import { writeFunction } from './writer.js';

/** Lines that a workgroup keeps, and partners that it takes at a time. */
export interface Block {
  readonly lines: number;
  readonly partners: number;
}

/** From large to small; the first that fits the device's workgroup memory is taken. */
export const BLOCKS: readonly Block[] = [
  { lines: 32, partners: 32 },
  { lines: 16, partners: 16 },
  { lines: 16, partners: 8 },
  { lines: 8, partners: 8 },
  { lines: 8, partners: 4 },
];

/**
 * The largest block that fits the device, and is no larger than the problem.
 * @param bytesOf what a block takes of workgroup memory.
 */
export function blockFor(
  lines: number,
  partners: number,
  bytesOf: (block: Block) => number,
  limits: TileLimits,
): Block | undefined {
  const fitting = BLOCKS.filter(
    (b) => bytesOf(b) <= limits.workgroupBytes && lanesOfBlock(b) <= limits.lanes,
  );
  return fitting.find((b) => b.lines < 2 * lines && b.partners < 2 * partners) ?? fitting.at(-1);
}

/** Each invocation computes two by two scores. */
export const lanesOfBlock = ({ lines, partners }: Block): number => (lines * partners) / 4;

export const quartersOf = (axis: LoopVariable): number => Math.ceil(axis.size / 4);
/** Vectors of a line of a tile; odd, so that lines begin in different banks. */
export const pitchOf = (axis: LoopVariable): number =>
  quartersOf(axis) + 1 - (quartersOf(axis) % 2);

/** An array of workgroup memory: lines of q, k, v or dOut. */
export interface LineTile {
  readonly name: 'q' | 'k' | 'v' | 'dOut';
  readonly load: Load;
  /** Axis of the lines, and the axis along a line. */
  readonly lineAxis: LoopVariable;
  readonly axis: LoopVariable;
  readonly lines: number;
}

export interface AttentionContext {
  readonly kernel: AttentionKernel;
  readonly block: Block;
  readonly bindings: KernelBindings;
  readonly called: Set<WgslFunction>;
}

export const tileBytes = ({ axis, lines }: Pick<LineTile, 'axis' | 'lines'>): number =>
  16 * lines * pitchOf(axis);

const batchOf = ({ batch }: AttentionKernel): LoopVariable => ({
  kind: 'loop',
  name: 'batch',
  size: sizeOfLoops(batch),
});

/** The tile's memory, the function that reads four numbers of a line, and the one that copies it. */
export function tileDefinitions(
  { kernel, block, bindings, called }: AttentionContext,
  { name, load, lineAxis, axis, lines }: LineTile,
): readonly string[] {
  const [quarters, pitch] = [quartersOf(axis), pitchOf(axis)];
  const quarter: LoopVariable = { kind: 'loop', name: 'quarter', size: quarters };
  const line: LoopVariable = { kind: 'loop', name: 'line', size: lineAxis.size };
  const read = writeFunction(
    `${name}At(batch: i32, line: i32, quarter: i32) -> vec4f`,
    called,
    (writer) => {
      const bodies = range(4).map((nth) =>
        substitute(
          load,
          new Map([
            ...loopsFrom(kernel.batch, ofAtom(batchOf(kernel))),
            [lineAxis.name, ofAtom(line)],
            ...loopsInGroup([axis], quarter, 4, nth),
          ]),
        ),
      );
      const [four = []] = fourTerms([bodies], writer, bindings);
      const values = four.map((value, nth) =>
        axis.size % 4 === 0 || nth < axis.size % 4
          ? value
          : `select(0.0, ${value}, quarter < ${Math.floor(axis.size / 4)})`,
      );
      writer.line(`return vec4f(${values.join(', ')});`);
    },
  );
  return [
    `var<workgroup> ${name}Tile: array<vec4f, ${lines * pitch}>;`,
    read,
    [
      `fn ${name}Copy(lane: u32, batch: i32, first: i32) {`,
      `  for (var entry = lane; entry < ${lines * quarters}u; entry += ${lanesOfBlock(block)}u) {`,
      `    let line = entry / ${quarters}u;`,
      `    let quarter = entry % ${quarters}u;`,
      `    let row = first + i32(line);`,
      `    let place = line * ${pitch}u + quarter;`,
      // Lines beyond the last are zeros: whatever is read there may not reach a sum.
      `    if (row < ${lineAxis.size}) {`,
      `      ${name}Tile[place] = ${name}At(batch, row, i32(quarter));`,
      '    } else {',
      `      ${name}Tile[place] = vec4f();`,
      '    }',
      '  }',
      '}',
    ].join('\n'),
  ];
}

/** Products of lines and partners for an invocation's two by two scores: `name00` … `name11`. */
export function blockProducts(
  name: string,
  lines: LineTile,
  partners: LineTile,
  { block }: AttentionContext,
): readonly string[] {
  const pitch = pitchOf(lines.axis);
  const [lineLanes, partnerLanes] = [block.lines / 2, block.partners / 2];
  return [
    ...range(4).map((n) => `var ${name}${n >> 1}${n & 1} = 0.0;`),
    `for (var at = 0u; at < ${quartersOf(lines.axis)}u; at++) {`,
    ...range(2).flatMap((i) => [
      `  let a${i} = ${lines.name}Tile[(lineLane + ${i * lineLanes}u) * ${pitch}u + at];`,
      `  let b${i} = ${partners.name}Tile[(partnerLane + ${i * partnerLanes}u) * ${pitch}u + at];`,
    ]),
    ...range(4).map((n) => `  ${name}${n >> 1}${n & 1} += dot(a${n >> 1}, b${n & 1});`),
    '}',
  ];
}

/**
 * `fn scoreOf(batch, row, column, product) -> f32`: the scaled score where the masks leave it, else
 * `HIDDEN`, for which `isHidden` holds.
 */
export function scoreFunction({ kernel, bindings, called }: AttentionContext): string {
  const { params, operands, rows, columns } = kernel;
  const score = writeFunction(
    'scoreOf(batch: i32, row: i32, column: i32, product: f32) -> f32',
    called,
    (writer) => {
      const { mask } = operands;
      const outside = [`row >= ${rows.size}`, `column >= ${columns.size}`];
      if (params.causal) outside.push('column > row');
      writer.line(`if (${outside.join(' || ')}) { return HIDDEN; }`);
      if (mask !== undefined) {
        const body = substitute(
          mask,
          new Map([
            ...loopsFrom(kernel.batch, ofAtom(batchOf(kernel))),
            [rows.name, ofAtom({ ...rows, name: 'row' })],
            [columns.name, ofAtom({ ...columns, name: 'column' })],
          ]),
        );
        const seen = valuePrinter({ writer, bindings }, [body]).value(body, 'bool');
        writer.line(`if (!${seen}) { return HIDDEN; }`);
      }
      writer.line(`return product * ${Math.fround(params.scale)}f;`);
    },
  );
  return [
    '// Stands for −∞: exp of it is 0, and no difference of two of them is NaN.',
    'const HIDDEN = -1e9f;',
    'fn isHidden(score: f32) -> bool { return score <= 0.5 * HIDDEN; }',
    score,
  ].join('\n');
}

/** A number of a row: logSumExp or shift. */
export function rowFunction(
  name: string,
  load: Load,
  { kernel, bindings, called }: AttentionContext,
): string {
  return writeFunction(`${name}At(batch: i32, row: i32) -> f32`, called, (writer) => {
    const body = substitute(
      load,
      new Map([
        ...loopsFrom(kernel.batch, ofAtom(batchOf(kernel))),
        [kernel.rows.name, ofAtom({ ...kernel.rows, name: 'row' })],
      ]),
    );
    writer.line(`return ${valuePrinter({ writer, bindings }, [body]).value(body, 'f32')};`);
  });
}
