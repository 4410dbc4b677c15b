/** From a block of scores in scratch memory to weights: row by row, eight columns at a time. */
import type { Code } from '../encoding.js';
import { f32x4, get, i32, set, v128 } from '../instructions.js';
import { exp } from '../math.js';
import type { Lanes } from '../nest.js';
import type { Local, Writer } from '../writer.js';
import { lanesBelow, panelOver } from './packing.js';
import { loopOver, PANEL, type Stage } from './stage.js';

/** Stands for −∞ in masked scores, as in the primitive's definition. */
export const MASKED = -1e9;

/** Joins the lanes of two vectors with an operation; the result in all lanes. */
export function joinLanes(
  writer: Writer,
  [a, b]: readonly [Local, Local],
  join: (x: Code, y: Code) => Code,
): Local {
  const all = writer.define('v128', join(get(a), get(b)));
  const pairs = v128.shuffle(get(all), get(all), [2, 3, 0, 1]);
  const pair = writer.define('v128', join(get(all), pairs));
  const other = v128.shuffle(get(pair), get(pair), [1, 0, 3, 2]);
  return writer.define('v128', join(get(pair), other));
}

/** One row of scores. */
export interface ScoreRow {
  /** Address in scratch memory. */
  readonly base: Local;
  /** The query's number. */
  readonly row: Local;
  /** Columns to look at, a multiple of eight. */
  readonly reach: Local;
}

/** Masks of the columns from `first` on that a query may look at; `undefined` for all of them. */
function seenFrom(
  { writer, nest, load, bound, kernel }: Stage,
  row: Local,
  first: Local,
): readonly Code[] | undefined {
  const { columns, rows, operands, params } = kernel;
  const { mask } = operands;
  const masks: (readonly Code[])[] = [];
  if (mask !== undefined) {
    const pairs = [[rows, row] as const, [columns, first] as const];
    bound(pairs, () => {
      const lanes: Lanes = nest.withVector(panelOver(columns), () => load(mask.buffer, mask.at));
      masks.push([0, 1].map((u) => get(lanes[lanes.length === 1 ? 0 : u] as Local)));
    });
  }
  if (columns.size % PANEL !== 0) masks.push(lanesBelow(writer, first, i32.const(columns.size)));
  if (params.causal) masks.push(lanesBelow(writer, first, i32.add(get(row), i32.const(1))));
  if (masks.length === 0) return undefined;
  return [0, 1].map((u) => masks.map((m) => m[u] as Code).reduce((a, b) => v128.and(a, b)));
}

/** The scaled scores from `first` on, `MASKED` where the query may not look. */
function scoresAt(stage: Stage, { base, row }: ScoreRow, first: Local): readonly [Local, Local] {
  const { writer, kernel } = stage;
  const { scale } = kernel.params;
  const at = i32.add(get(base), i32.mul(get(first), i32.const(4)));
  const address = writer.define('i32', at);
  const seen = seenFrom(stage, row, first);
  return [0, 1].map((u) => {
    const raw = v128.load(get(address), 16 * u);
    const scaled = scale === 1 ? raw : f32x4.mul(raw, f32x4.splat(scale));
    const mask = seen?.[u];
    return writer.define(
      'v128',
      mask === undefined ? scaled : v128.choose(mask, scaled, f32x4.splat(MASKED)),
    );
  }) as unknown as readonly [Local, Local];
}

/** e^(score − shift), 0 where masked. */
const weightOf = ({ scope }: Stage, score: Local, shift: Local): Code =>
  v128.and(
    exp(f32x4.sub(get(score), get(shift)), scope),
    f32x4.ne(get(score), f32x4.splat(MASKED)),
  );

/**
 * Scores become e^(score − greatest), in place.
 * @returns the greatest score and the sum of the weights, in all lanes; the sum of a query that sees
 *   nothing counts as 1, so that it can be divided by.
 */
export function emitSoftmaxRow(
  stage: Stage,
  scores: ScoreRow,
): { readonly greatest: Local; readonly sum: Local } {
  const { writer } = stage;
  const { base, reach } = scores;
  const pair = (start: number) =>
    [0, 1].map(() => writer.define('v128', f32x4.splat(start))) as unknown as readonly [
      Local,
      Local,
    ];
  const addressOf = (first: Local) => i32.add(get(base), i32.mul(get(first), i32.const(4)));
  const most = pair(Number.NEGATIVE_INFINITY);
  loopOver(writer, { to: get(reach), step: PANEL }, (first) => {
    const address = writer.define('i32', addressOf(first));
    scoresAt(stage, scores, first).forEach((score, u) => {
      const m = most[u] as Local;
      writer.emit(set(m, f32x4.max(get(m), get(score))));
      writer.emit(v128.store(get(address), get(score), 16 * u));
    });
  });
  const greatest = joinLanes(writer, most, f32x4.max);
  const sums = pair(0);
  loopOver(writer, { to: get(reach), step: PANEL }, (first) => {
    const address = writer.define('i32', addressOf(first));
    sums.forEach((sum, u) => {
      const score = writer.define('v128', v128.load(get(address), 16 * u));
      const weight = writer.define('v128', weightOf(stage, score, greatest));
      writer.emit(set(sum, f32x4.add(get(sum), get(weight))));
      writer.emit(v128.store(get(address), get(weight), 16 * u));
    });
  });
  const sum = writer.define(
    'v128',
    f32x4.max(get(joinLanes(writer, sums, f32x4.add)), f32x4.splat(1)),
  );
  return { greatest, sum };
}

/**
 * Scores become weights P = e^(score − logSumExp), and in `slopes` the products dOut·vᵀ become
 * scale · P ∘ (dOut·vᵀ − shift), both in place. `logSumExp` and `shift` are in all lanes.
 */
export function emitBackwardRow(
  stage: Stage,
  scores: ScoreRow,
  slopes: Local,
  { logSumExp, shift }: { readonly logSumExp: Local; readonly shift: Local },
): void {
  const { writer, kernel } = stage;
  const { scale } = kernel.params;
  const { base, reach } = scores;
  loopOver(writer, { to: get(reach), step: PANEL }, (first) => {
    const offset = writer.define('i32', i32.mul(get(first), i32.const(4)));
    const [address, slope] = [base, slopes].map((b) =>
      writer.define('i32', i32.add(get(b), get(offset))),
    ) as [Local, Local];
    scoresAt(stage, scores, first).forEach((score, u) => {
      const weight = writer.define('v128', weightOf(stage, score, logSumExp));
      const centred = f32x4.sub(v128.load(get(slope), 16 * u), get(shift));
      const product = f32x4.mul(get(weight), centred);
      const scaled = scale === 1 ? product : f32x4.mul(product, f32x4.splat(scale));
      writer.emit(v128.store(get(address), get(weight), 16 * u));
      writer.emit(v128.store(get(slope), scaled, 16 * u));
    });
  });
}

/** Columns that the rows of a block may look at, up to a multiple of eight. */
export function emitReach({ writer, kernel }: Stage, firstRow: Local, rows: number): Local {
  const { columns, params } = kernel;
  const all = Math.ceil(columns.size / PANEL) * PANEL;
  if (!params.causal) return writer.define('i32', i32.const(all));
  const end = writer.define('i32', i32.add(get(firstRow), i32.const(rows + PANEL - 1)));
  const whole = writer.define('i32', i32.and(get(end), i32.const(-PANEL)));
  return writer.define(
    'i32',
    i32.select(get(whole), i32.const(all), i32.ltS(get(whole), i32.const(all))),
  );
}
