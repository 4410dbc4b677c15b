/**
 * Attention forward as one kernel. A workgroup keeps a block of queries and walks through the keys; per
 * query it holds the greatest score so far, the sum of exp(score − greatest) and the weighted sum of
 * values, and rescales the two sums when the greatest score grows.
 *
 * Dao, Fu, Ermon, Rudra, Ré, "FlashAttention", 2022.
 */
import { range } from '../../../autodiff/index.js';
import type { AttentionKernel } from '../../plan/attention.js';
import { sizeOfLoops } from '../products.js';
import type { TileLimits } from '../tiles.js';
import {
  type AttentionContext,
  type Block,
  blockFor,
  blockProducts,
  type LineTile,
  lanesOfBlock,
  scoreFunction,
  tileBytes,
  tileDefinitions,
} from './attentionParts.js';
import { addWeighted, storeSums, sumLanes, sumShare, sumVariables } from './attentionSums.js';
import { type ArrayLayout, kernelBindings } from './bindings.js';
import type { WgslFunction } from './functions.js';
import { type KernelCode, moduleOf } from './kernel.js';
import { indent } from './writer.js';

type Forward = Extract<AttentionKernel, { kind: 'attention' }>;

const tilesOf = ({ operands, rows, columns, depth, width }: Forward, block: Block) => {
  const { q, k, v } = operands;
  const { lines, partners } = block;
  return {
    q: { name: 'q', load: q, lineAxis: rows, axis: depth, lines },
    k: { name: 'k', load: k, lineAxis: columns, axis: depth, lines: partners },
    v: { name: 'v', load: v, lineAxis: columns, axis: width, lines: partners },
  } satisfies Record<string, LineTile>;
};

/** Bytes of workgroup memory: the tiles, scores, partial results of rows, and a factor a row. */
const bytesOf = (kernel: Forward, block: Block): number =>
  Object.values(tilesOf(kernel, block)).reduce((n, t) => n + tileBytes(t), 0) +
  4 * block.lines * (block.partners + 1 + block.partners / 4 + 1);

export function printAttention(
  kernel: Forward,
  layout: ArrayLayout,
  limits: TileLimits,
): KernelCode | undefined {
  const { rows: queries, columns: keys } = kernel;
  const block = blockFor(queries.size, keys.size, (b) => bytesOf(kernel, b), limits);
  if (block === undefined) return undefined;
  const called = new Set<WgslFunction>();
  const bindings = kernelBindings(kernel.outputs, kernel.reads, layout);
  const context: AttentionContext = { kernel, block, bindings, called };
  const { rows, columns, width, params, batch } = kernel;
  const { lines, partners } = block;
  const tiles = tilesOf(kernel, block);
  const share = sumShare(width, block);
  const lanes = lanesOfBlock(block);
  // As many invocations as there are quarters of a row's scores look at one row together.
  const group = partners / 4;
  const blocks = Math.ceil(rows.size / lines);
  const workgroups = sizeOfLoops(batch) * blocks;

  const rowLine = (values: string) => range(group).map((g) => `${values}[rowPart + ${g}u]`);
  const walk = [
    'kCopy(lane, batch, firstPartner);',
    'vCopy(lane, batch, firstPartner);',
    'workgroupBarrier();',
    ...blockProducts('s', tiles.q, tiles.k, context),
    ...range(4).map((n) => {
      const line = `lineLane + ${(n >> 1) * (lines / 2)}u`;
      const partner = `partnerLane + ${(n & 1) * (partners / 2)}u`;
      return `scores[(${line}) * ${partners + 1}u + ${partner}] = scoreOf(batch, firstLine + i32(${line}), firstPartner + i32(${partner}), s${n >> 1}${n & 1});`;
    }),
    'workgroupBarrier();',
    '// The greatest score of the row, and how much the sums so far shrink by it.',
    'let own = rowOf * ROW + 4u * partOf;',
    `rowParts[lane] = max(max(scores[own], scores[own + 1u]), max(scores[own + 2u], scores[own + 3u]));`,
    'workgroupBarrier();',
    `let next = ${rowLine('rowParts').reduce((x, y) => `max(${x}, ${y})`, 'greatest')};`,
    'let shrink = exp(greatest - next);',
    'greatest = next;',
    'workgroupBarrier();',
    'var part = 0.0;',
    'for (var i = 0u; i < 4u; i++) {',
    '  let score = scores[own + i];',
    // What is hidden is no key at all.
    '  let weight = select(exp(score - next), 0.0, isHidden(score));',
    '  part += weight;',
    '  scores[own + i] = weight;',
    '}',
    'rowParts[lane] = part;',
    'if (partOf == 0u) { rowFactors[rowOf] = shrink; }',
    'workgroupBarrier();',
    `total = total * shrink + ${rowLine('rowParts').join(' + ')};`,
    ...range(share.linesEach).flatMap((i) => [
      `let f${i} = rowFactors[sumLine + ${i * share.lineLanes}u];`,
      ...range(share.quartersEach).map((j) => `sum${i}_${j} *= f${i};`),
    ]),
    ...addWeighted('sum', 'scores', tiles.v, share, context),
    'workgroupBarrier();',
  ];
  const last = params.causal ? `min(${columns.size}, firstLine + ${lines})` : String(columns.size);
  const body = [
    `if (workgroup >= ${workgroups}) { return; }`,
    `let batch = workgroup / ${blocks};`,
    `let firstLine = (workgroup % ${blocks}) * ${lines};`,
    `let lineLane = lane / ${partners / 2}u;`,
    `let partnerLane = lane % ${partners / 2}u;`,
    `let rowOf = lane / ${group}u;`,
    `let partOf = lane % ${group}u;`,
    `let rowPart = rowOf * ${group}u;`,
    ...sumLanes('sum', share),
    'var greatest = HIDDEN;',
    'var total = 0.0;',
    ...sumVariables('sum', share),
    'qCopy(lane, batch, firstLine);',
    `for (var firstPartner = 0; firstPartner < ${last}; firstPartner += ${partners}) {`,
    ...indent(walk),
    '}',
    '// A query that sees no key gets zeros.',
    'if (partOf == 0u) { rowFactors[rowOf] = select(1.0 / total, 0.0, total == 0.0); }',
    'workgroupBarrier();',
    ...storeSums(
      'sum',
      share,
      {
        lineAxis: rows,
        axis: width,
        output: 0,
        factor: (line) => `rowFactors[${line}]`,
      },
      context,
    ),
    `if (partOf == 0u && firstLine + i32(rowOf) < ${rows.size}) {`,
    '  let sum = select(greatest + log(total), HIDDEN, total == 0.0);',
    `  ${bindings.store(`batch * ${rows.size} + firstLine + i32(rowOf)`, 'sum', 1)}`,
    '}',
  ];
  return {
    source: moduleOf({
      bindings,
      called,
      definitions: [
        ...Object.values(tiles).flatMap((tile) => tileDefinitions(context, tile)),
        scoreFunction(context),
        `const ROW = ${partners + 1}u;`,
        `var<workgroup> scores: array<f32, ${lines * (partners + 1)}>;`,
        `var<workgroup> rowParts: array<f32, ${lanes}>;`,
        `var<workgroup> rowFactors: array<f32, ${lines}>;`,
      ],
      lanes,
      body,
    }),
    outputs: kernel.outputs,
    reads: kernel.reads,
    usesNormalTable: false,
    written: bindings.written,
    read: bindings.read(),
    workgroups,
  };
}
