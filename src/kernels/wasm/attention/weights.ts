/** From a block of scores in scratch memory to weights: row by row, eight columns at a time. */
import type { Code } from '../encoding.js';
import { f32x4, get, i32, set, v128 } from '../instructions.js';
import { boundedExp } from '../math.js';
import type { Local, Writer } from '../writer.js';
import { lanesBelow, panelOver } from './packing.js';
import { loopOver, PANEL, placed, roundUp, type Stage } from './stage.js';
import { type Panels, panelsOf } from './tile.js';

/** Stands for −∞ in masked scores, as in the primitive's definition. */
const MASKED = -1e9;

const { splat } = f32x4;

/** Joins the lanes of vectors with an operation; the result in all lanes. */
function joinLanes(
  writer: Writer,
  vectors: readonly Local[],
  join: (x: Code, y: Code) => Code,
): Local {
  const all = writer.define('v128', vectors.map(get).reduce(join));
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
  /** Columns to look at: see `emitReach`. */
  readonly reach: Local;
}

/** Some neighbouring columns of a row. */
interface Columns {
  readonly first: Local;
  /** Their vectors: 0, or 0 and 1. */
  readonly vectors: readonly number[];
  /** Masks of those that the query may look at, one a vector; `undefined` for all of them. */
  readonly seen: Masks | undefined;
}

/** Emits and gives masks, one a vector. */
type Masks = () => readonly Code[];

const both = (a: Masks | undefined, b: Masks | undefined): Masks | undefined => {
  if (a === undefined || b === undefined) return a ?? b;
  return () => {
    const [x, y] = [a(), b()];
    return x.map((mask, u) => v128.and(mask, y[u] as Code));
  };
};

/** Emits `body` for all columns of a row, with lane masks only where some lanes are out of sight. */
function overColumns(stage: Stage, { row, reach }: ScoreRow, body: (columns: Columns) => void) {
  const { writer, nest, load, bound, kernel } = stage;
  const { columns, rows, operands, params } = kernel;
  const { mask } = operands;
  const shown = (first: Local): Masks | undefined =>
    mask &&
    (() => {
      let lanes: readonly Local[] = [];
      bound([[rows, row] as const, [columns, first] as const], () => {
        lanes = nest.withVector(panelOver(columns), () => load(mask.buffer, mask.at));
      });
      return [0, 1].map((u) => get(lanes[lanes.length === 1 ? 0 : u] as Local));
    });
  const tail = columns.size % PANEL;
  const whole = columns.size - tail;
  if (params.causal) {
    const seen = i32.and(i32.add(get(row), i32.const(1)), i32.const(-PANEL));
    const end = writer.define('i32', seen);
    const plain = writer.define(
      'i32',
      i32.select(get(end), i32.const(whole), i32.ltS(get(end), i32.const(whole))),
    );
    loopOver(writer, { to: get(plain), step: PANEL }, (first) => {
      body({ first, vectors: [0, 1], seen: shown(first) });
    });
    loopOver(writer, { from: get(plain), to: get(reach), step: PANEL }, (first) => {
      const before = () => lanesBelow(writer, first, i32.add(get(row), i32.const(1)));
      const inside =
        tail === 0 ? undefined : () => lanesBelow(writer, first, i32.const(columns.size));
      body({ first, vectors: [0, 1], seen: both(shown(first), both(before, inside)) });
    });
    return;
  }
  loopOver(writer, { to: i32.const(whole), step: PANEL }, (first) => {
    body({ first, vectors: [0, 1], seen: shown(first) });
  });
  if (tail > 0) {
    const first = writer.define('i32', i32.const(whole));
    const inside = () =>
      [0, 4].map((lane) => v128.words([0, 1, 2, 3].map((l) => (lane + l < tail ? -1 : 0))));
    const vectors = tail > 4 ? [0, 1] : [0];
    body({ first, vectors, seen: both(shown(first), inside) });
  }
}

/** A vector's scores, `MASKED` where the query may not look. */
const masked = (scores: Code, seen: Code | undefined): Code =>
  seen === undefined ? scores : v128.choose(seen, scores, splat(MASKED));

/** A vector's weights e^(score − shift), 0 where masked: with a mask a query may see nothing. */
const weightOf = ({ scope }: Stage, score: Local, shift: Local, all: boolean): Code => {
  const weight = boundedExp(f32x4.sub(get(score), get(shift)), scope);
  return all ? weight : v128.and(weight, f32x4.ne(get(score), splat(MASKED)));
};

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
  const pair = (start: number) => [0, 1].map(() => writer.define('v128', splat(start)));
  const addressOf = (first: Local) => writer.define('i32', placed(scores.base, first, 4));
  const most = pair(Number.NEGATIVE_INFINITY);
  overColumns(stage, scores, ({ first, vectors, seen }) => {
    const address = addressOf(first);
    const masks = seen?.();
    for (const u of vectors) {
      const score = writer.define('v128', masked(v128.load(get(address), 16 * u), masks?.[u]));
      const m = most[u] as Local;
      writer.emit(set(m, f32x4.greater(get(m), get(score))));
      if (seen) writer.emit(v128.store(get(address), get(score), 16 * u));
    }
  });
  const greatest = joinLanes(writer, most, f32x4.greater);
  const sums = pair(0);
  overColumns(stage, scores, ({ first, vectors, seen }) => {
    const address = addressOf(first);
    for (const u of vectors) {
      const score = writer.define('v128', v128.load(get(address), 16 * u));
      const weight = writer.define('v128', weightOf(stage, score, greatest, !seen));
      const sum = sums[u] as Local;
      writer.emit(set(sum, f32x4.add(get(sum), get(weight))));
      writer.emit(v128.store(get(address), get(weight), 16 * u));
    }
  });
  const sum = f32x4.max(get(joinLanes(writer, sums, f32x4.add)), splat(1));
  return { greatest, sum: writer.define('v128', sum) };
}

/**
 * Scores become weights P = e^(score − logSumExp), and in `slopes` the products dOut·vᵀ become
 * P ∘ (dOut·vᵀ − shift), both in place. `logSumExp` and `shift` are in all lanes.
 */
export function emitBackwardRow(
  stage: Stage,
  scores: ScoreRow,
  slopes: Local,
  { logSumExp, shift }: { readonly logSumExp: Local; readonly shift: Local },
): void {
  const { writer } = stage;
  overColumns(stage, scores, ({ first, vectors, seen }) => {
    const address = writer.define('i32', placed(scores.base, first, 4));
    const slope = writer.define('i32', placed(slopes, first, 4));
    const masks = seen?.();
    for (const u of vectors) {
      const score = writer.define('v128', masked(v128.load(get(address), 16 * u), masks?.[u]));
      const weight = writer.define('v128', weightOf(stage, score, logSumExp, !seen));
      const centred = f32x4.sub(v128.load(get(slope), 16 * u), get(shift));
      writer.emit(v128.store(get(address), get(weight), 16 * u));
      writer.emit(v128.store(get(slope), f32x4.mul(get(weight), centred), 16 * u));
    }
  });
}

/**
 * Columns that the rows of a block may look at, with causal order up to a multiple of eight; and the
 * panels that they make.
 */
export function emitReach(
  { writer, kernel }: Stage,
  firstRow: Local,
  rows: number,
): { readonly reach: Local; readonly panels: Panels } {
  const { columns, params } = kernel;
  if (!params.causal) {
    const reach = writer.define('i32', i32.const(columns.size));
    return { reach, panels: panelsOf(columns.size) };
  }
  const all = roundUp(columns.size, PANEL);
  const end = writer.define('i32', i32.add(get(firstRow), i32.const(rows + PANEL - 1)));
  const whole = writer.define('i32', i32.and(get(end), i32.const(-PANEL)));
  const reach = writer.define(
    'i32',
    i32.select(get(whole), i32.const(all), i32.ltS(get(whole), i32.const(all))),
  );
  return { reach, panels: { columns: get(reach), half: false } };
}
