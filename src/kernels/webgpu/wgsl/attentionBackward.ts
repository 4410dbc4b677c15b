/**
 * The backward pass of attention in two kernels, each of which computes the scores again: one keeps
 * queries and walks through keys for dq, the other keeps keys and walks through queries for dk and dv.
 * So every sum has one order, and nothing is added by several workgroups.
 *
 *     P = exp(s − logSumExp),  dS = P ∘ (dOut·vᵀ − shift),  dq = scale·dS·k,  dk = scale·dSᵀ·q,  dv = Pᵀ·dOut
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
  rowFunction,
  scoreFunction,
  tileBytes,
  tileDefinitions,
} from './attentionParts.js';
import { addWeighted, storeSums, sumLanes, sumShare, sumVariables } from './attentionSums.js';
import { type ArrayLayout, kernelBindings } from './bindings.js';
import type { WgslFunction } from './functions.js';
import { type KernelCode, moduleOf } from './kernel.js';
import { indent } from './writer.js';

type Backward = Extract<AttentionKernel, { kind: 'attentionBackward' }>;

/** What a workgroup keeps. */
type Kept = 'queries' | 'keys';

function tilesOf({ operands, rows, columns, depth, width }: Backward, block: Block, kept: Kept) {
  const { q, k, v, dOut } = operands;
  const [ofRows, ofColumns] =
    kept === 'queries' ? [block.lines, block.partners] : [block.partners, block.lines];
  return {
    q: { name: 'q', load: q, lineAxis: rows, axis: depth, lines: ofRows },
    k: { name: 'k', load: k, lineAxis: columns, axis: depth, lines: ofColumns },
    v: { name: 'v', load: v, lineAxis: columns, axis: width, lines: ofColumns },
    dOut: { name: 'dOut', load: dOut, lineAxis: rows, axis: width, lines: ofRows },
  } satisfies Record<string, LineTile>;
}

/** Bytes of workgroup memory: the tiles, and one or two blocks of weights. */
const bytesOf = (kernel: Backward, block: Block, kept: Kept): number =>
  Object.values(tilesOf(kernel, block, kept)).reduce((n, t) => n + tileBytes(t), 0) +
  4 * block.lines * (block.partners + 1) * (kept === 'queries' ? 1 : 2);

function printHalf(
  kernel: Backward,
  layout: ArrayLayout,
  limits: TileLimits,
  kept: Kept,
): KernelCode | undefined {
  const keepsQueries = kept === 'queries';
  const [lineAxis, partnerAxis] = keepsQueries
    ? [kernel.rows, kernel.columns]
    : [kernel.columns, kernel.rows];
  const takes = (b: Block) => bytesOf(kernel, b, kept);
  const block = blockFor(lineAxis.size, partnerAxis.size, takes, limits);
  if (block === undefined) return undefined;
  const called = new Set<WgslFunction>();
  const outputs = keepsQueries ? kernel.outputs.slice(0, 1) : kernel.outputs.slice(1);
  const bindings = kernelBindings(outputs, kernel.reads, layout);
  const context: AttentionContext = { kernel, block, bindings, called };
  const { columns, depth, width, params, batch, operands } = kernel;
  const { lines, partners } = block;
  const tiles = tilesOf(kernel, block, kept);
  const lanes = lanesOfBlock(block);
  const blocks = Math.ceil(lineAxis.size / lines);
  const workgroups = sizeOfLoops(batch) * blocks;
  const depthShare = sumShare(depth, block);
  const widthShare = sumShare(width, block);
  const products = keepsQueries
    ? [
        ...blockProducts('s', tiles.q, tiles.k, context),
        ...blockProducts('d', tiles.dOut, tiles.v, context),
      ]
    : [
        ...blockProducts('s', tiles.k, tiles.q, context),
        ...blockProducts('d', tiles.v, tiles.dOut, context),
      ];
  const weigh = range(4).flatMap((n) => {
    const nth = `${n >> 1}${n & 1}`;
    return [
      '{',
      `  let line = lineLane + ${(n >> 1) * (lines / 2)}u;`,
      `  let partner = partnerLane + ${(n & 1) * (partners / 2)}u;`,
      `  let row = ${keepsQueries ? 'firstLine + i32(line)' : 'firstPartner + i32(partner)'};`,
      `  let column = ${keepsQueries ? 'firstPartner + i32(partner)' : 'firstLine + i32(line)'};`,
      `  let score = scoreOf(batch, row, column, s${nth});`,
      '  let weight = select(exp(score - logSumExpAt(batch, row)), 0.0, isHidden(score));',
      ...(keepsQueries ? [] : ['  weights[line * ROW + partner] = weight;']),
      // Beyond the last query shift may be anything: nothing of it may reach a sum.
      `  slopes[line * ROW + partner] = select(weight * (d${nth} - shiftAt(batch, row)), 0.0, isHidden(score));`,
      '}',
    ];
  });
  const walk = [
    ...(keepsQueries ? ['kCopy', 'vCopy'] : ['qCopy', 'dOutCopy']).map(
      (copy) => `${copy}(lane, batch, firstPartner);`,
    ),
    'workgroupBarrier();',
    ...products,
    ...weigh,
    'workgroupBarrier();',
    ...addWeighted('slope', 'slopes', keepsQueries ? tiles.k : tiles.q, depthShare, context),
    ...(keepsQueries ? [] : addWeighted('value', 'weights', tiles.dOut, widthShare, context)),
    'workgroupBarrier();',
  ];
  // In causal order a query sees no later key, and a key is seen by no earlier query.
  const first = params.causal && !keepsQueries ? `(firstLine / ${partners}) * ${partners}` : '0';
  const last =
    params.causal && keepsQueries
      ? `min(${columns.size}, firstLine + ${lines})`
      : String(partnerAxis.size);
  const scale = `${Math.fround(params.scale)}f`;
  const body = [
    `if (workgroup >= ${workgroups}) { return; }`,
    `let batch = workgroup / ${blocks};`,
    `let firstLine = (workgroup % ${blocks}) * ${lines};`,
    `let lineLane = lane / ${partners / 2}u;`,
    `let partnerLane = lane % ${partners / 2}u;`,
    ...sumLanes('slope', depthShare),
    ...sumVariables('slope', depthShare),
    ...(keepsQueries
      ? []
      : [...sumLanes('value', widthShare), ...sumVariables('value', widthShare)]),
    ...(keepsQueries ? ['qCopy', 'dOutCopy'] : ['kCopy', 'vCopy']).map(
      (copy) => `${copy}(lane, batch, firstLine);`,
    ),
    `for (var firstPartner = ${first}; firstPartner < ${last}; firstPartner += ${partners}) {`,
    ...indent(walk),
    '}',
    ...storeSums(
      'slope',
      depthShare,
      { lineAxis, axis: depth, output: 0, factor: () => scale },
      context,
    ),
    ...(keepsQueries
      ? []
      : storeSums(
          'value',
          widthShare,
          { lineAxis, axis: width, output: 1, factor: () => '1.0' },
          context,
        )),
  ];
  const memory = (name: string) => `var<workgroup> ${name}: array<f32, ${lines * (partners + 1)}>;`;
  return {
    source: moduleOf({
      bindings,
      called,
      definitions: [
        ...Object.values(tiles).flatMap((tile) => tileDefinitions(context, tile)),
        scoreFunction(context),
        rowFunction('logSumExp', operands.logSumExp, context),
        rowFunction('shift', operands.shift, context),
        `const ROW = ${partners + 1}u;`,
        memory('slopes'),
        ...(keepsQueries ? [] : [memory('weights')]),
      ],
      lanes,
      body,
    }),
    outputs,
    reads: kernel.reads,
    usesNormalTable: false,
    written: bindings.written,
    read: bindings.read(),
    workgroups,
  };
}

/** The kernels of dq, and of dk and dv; `undefined` where lines are too long for a workgroup. */
export function printAttentionBackward(
  kernel: Backward,
  layout: ArrayLayout,
  limits: TileLimits,
): readonly KernelCode[] | undefined {
  const halves = (['queries', 'keys'] as const).map((kept) =>
    printHalf(kernel, layout, limits, kept),
  );
  return halves.some((h) => h === undefined) ? undefined : (halves as readonly KernelCode[]);
}
