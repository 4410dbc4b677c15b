/** The sums of attention along lines: who holds what, how weighted partners are added, and storing them. */
import { range } from '../../../autodiff/index.js';
import type { LoopVariable } from '../../plan/position.js';
import {
  type AttentionContext,
  type Block,
  type LineTile,
  lanesOfBlock,
  pitchOf,
  quartersOf,
} from './attentionParts.js';

/** How the sums along a line are shared: each invocation holds some vectors of some lines. */
export interface SumShare {
  readonly lineLanes: number;
  readonly linesEach: number;
  readonly axisLanes: number;
  readonly quartersEach: number;
  readonly quarters: number;
}

export function sumShare(axis: LoopVariable, block: Block): SumShare {
  const lanes = lanesOfBlock(block);
  const quarters = quartersOf(axis);
  const wanted = 2 ** Math.floor(Math.log2(Math.min(16, quarters)));
  const axisLanes = Math.min(lanes, Math.max(wanted, lanes / block.lines));
  const lineLanes = lanes / axisLanes;
  return {
    lineLanes,
    linesEach: block.lines / lineLanes,
    axisLanes,
    quartersEach: Math.ceil(quarters / axisLanes),
    quarters,
  };
}

const places = ({ linesEach, quartersEach }: SumShare) =>
  range(linesEach).flatMap((i) => range(quartersEach).map((j) => ({ i, j })));

export const sumVariables = (name: string, share: SumShare): readonly string[] =>
  places(share).map(({ i, j }) => `var ${name}${i}_${j} = vec4f();`);

/** The lanes by which sums are shared, as `sum…Line` and `sum…At` of a name. */
export const sumLanes = (name: string, { axisLanes }: SumShare): readonly string[] => [
  `let ${name}Line = lane / ${axisLanes}u;`,
  `let ${name}At = lane % ${axisLanes}u;`,
];

/** sums[line] += Σ over partners of weights[line][partner] · tile[partner]. */
export function addWeighted(
  name: string,
  weights: string,
  tile: LineTile,
  share: SumShare,
  { block }: AttentionContext,
): readonly string[] {
  const pitch = pitchOf(tile.axis);
  return [
    `for (var partner = 0u; partner < ${block.partners}u; partner++) {`,
    ...range(share.linesEach).map(
      (i) =>
        `  let w${i} = ${weights}[(${name}Line + ${i * share.lineLanes}u) * ${block.partners + 1}u + partner];`,
    ),
    ...range(share.quartersEach).flatMap((j) => [
      // Vectors beyond the last are some other line's: they are summed up in vain, and not stored.
      `  let x${j} = ${tile.name}Tile[partner * ${pitch}u + min(${name}At + ${j * share.axisLanes}u, ${share.quarters - 1}u)];`,
      ...range(share.linesEach).map((i) => `  ${name}${i}_${j} += w${i} * x${j};`),
    ]),
    '}',
  ];
}

/** Stores sums, each line times a factor, row-major into an output of `lines` × `axis` by batch. */
export function storeSums(
  name: string,
  share: SumShare,
  {
    lineAxis,
    axis,
    output,
    factor,
  }: {
    readonly lineAxis: LoopVariable;
    readonly axis: LoopVariable;
    readonly output: number;
    /** Of the line's number in the block. */
    readonly factor: (line: string) => string;
  },
  { bindings }: AttentionContext,
): readonly string[] {
  // Vectors that reach beyond the axis are stored in part, or not at all.
  const exact = axis.size % 4 === 0 && share.quarters % share.axisLanes === 0;
  return places(share).flatMap(({ i, j }) => [
    '{',
    `  let line = ${name}Line + ${i * share.lineLanes}u;`,
    '  let row = firstLine + i32(line);',
    `  let at = i32(${name}At + ${j * share.axisLanes}u) * 4;`,
    `  if (row < ${lineAxis.size}) {`,
    `    let x = ${name}${i}_${j} * ${factor('line')};`,
    `    let to = (batch * ${lineAxis.size} + row) * ${axis.size} + at;`,
    ...range(4).map((c) => {
      const store = bindings.store(c === 0 ? 'to' : `to + ${c}`, `x[${c}]`, output);
      return exact ? `    ${store}` : `    if (at + ${c} < ${axis.size}) { ${store} }`;
    }),
    '  }',
    '}',
  ]);
}
