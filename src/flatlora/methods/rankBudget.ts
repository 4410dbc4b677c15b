/**
 * AdaLoRA's allocator: how important the directions of all layers are, how many may stay, and which.
 *
 * For each number w among A, E and B, with g its gradient:
 *
 *     I = |w·g|,   Ī ← β₁Ī + (1 − β₁)I,   Ū ← β₂Ū + (1 − β₂)|I − Ī|
 *     score of direction k of a layer:  ĪŪ(e_k) + mean_j ĪŪ(A_kj) + mean_i ĪŪ(B_ik)
 *
 * and of all directions of all layers those b(t) with the greatest scores stay.
 *
 * Reference: Zhang et al., "Adaptive budget allocation for parameter-efficient fine-tuning" (AdaLoRA),
 * ICLR 2023, Eq. 8–12.
 */
import {
  abs,
  add,
  concat,
  convert,
  div,
  equal,
  FlatloraError,
  floor,
  iota,
  lt,
  mean,
  mul,
  reduceSum,
  reshape,
  select,
  sliceAxis,
  sub,
  type Value,
} from '../../autodiff/index.js';

/** Steps of the timetable of a run. */
export interface Timetable {
  /** t_i: up to this step, included, every direction stays. */
  readonly initialSteps: number;
  /** t_f: in the last t_f steps the choice is fixed, and holds after each step. */
  readonly finalSteps: number;
  /** ΔT: in between the choice is made anew, and applied, every so many steps. */
  readonly interval: number;
  readonly totalSteps: number;
}

/** A timetable that fits the run, or a typed error. */
export function requireTimetable(t: Timetable): Timetable {
  const whole = (x: number, least: number) => Number.isInteger(x) && x >= least;
  if (!(whole(t.initialSteps, 0) && whole(t.finalSteps, 0) && whole(t.interval, 1))) {
    throw new FlatloraError(
      'argument',
      `adaLora: initialSteps, finalSteps and interval are ${t.initialSteps}, ${t.finalSteps}, ${t.interval}, expected integers ≥ 0, ≥ 0, ≥ 1`,
    );
  }
  if (!(t.initialSteps + t.finalSteps < t.totalSteps)) {
    throw new FlatloraError(
      'argument',
      `adaLora: initialSteps and finalSteps are ${t.initialSteps} and ${t.finalSteps}, expected a sum below totalSteps = ${t.totalSteps}`,
    );
  }
  return t;
}

/** The budget b(t) at a step, and whether it is applied after that step. */
export interface Budget {
  /** How many directions of all layers together (float[], a whole number). */
  readonly directions: Value;
  /** 1 or 0 (bool). */
  readonly applies: Value;
  /** Whether importances are still averaged at this step (bool): not among the last t_f. */
  readonly learns: Value;
}

/**
 * b(t) falls as a cube from all directions to the target:
 *
 *     b(t) = ⌊target + (all − target)·(1 − (t − t_i)/(T − t_f − t_i))³⌋   for t_i < t ≤ T − t_f
 *
 * @param step the number of the step, from 0 (int[]).
 */
export function budgetAt(
  step: Value,
  { initialSteps, finalSteps, interval, totalSteps }: Timetable,
  all: number,
  target: number,
): Budget {
  const t = convert(step, 'float');
  const last = totalSteps - finalSteps;
  const left = sub(1, div(sub(t, initialSteps), last - initialSteps));
  // The reference rounds down; what rounding alone puts below a whole number is meant to be it.
  const cubic = floor(add(add(target, mul(all - target, mul(left, mul(left, left)))), 1e-4));
  const early = lt(t, initialSteps + 1);
  const late = lt(last, t);
  const turn = sub(t, mul(interval, floor(div(add(t, 0.5), interval))));
  return {
    directions: select(early, all, select(late, target, cubic)),
    applies: select(early, equal(0, 1), select(late, equal(0, 0), equal(turn, 0))),
    learns: lt(t, last),
  };
}

/** Ī and Ū of one array. */
export interface Importance<L = Value> {
  readonly sensitivity: L;
  readonly uncertainty: L;
}

/** The averages with one more I = |w·g|. */
export function averaged(
  { sensitivity, uncertainty }: Importance,
  w: Value,
  g: Value,
  beta1: number,
  beta2: number,
): Importance {
  const now = abs(mul(w, g));
  const smooth = add(mul(beta1, sensitivity), mul(1 - beta1, now));
  return {
    sensitivity: smooth,
    uncertainty: add(mul(beta2, uncertainty), mul(1 - beta2, abs(sub(now, smooth)))),
  };
}

/** The scores [r] of a layer's directions. */
export function directionScores(importance: Readonly<Record<'a' | 'b' | 'e', Importance>>): Value {
  const score = ({ sensitivity, uncertainty }: Importance) => mul(sensitivity, uncertainty);
  const [a, b, e] = [importance.a, importance.b, importance.e].map(score) as [Value, Value, Value];
  return add(add(reshape(e, [e.shape[0] as number]), mean(a, 1)), mean(b, 0));
}

/**
 * Which directions are among the `budget` best: 1 or 0 for each, layer by layer as given. A direction's
 * place is the number of those with greater scores, or with equal ones and before it, which needs
 * comparisons alone and runs on every backend.
 */
export function best(scores: readonly Value[], budget: Value): readonly Value[] {
  const all = concat(scores);
  const n = all.shape[0] as number;
  const [mine, others] = [reshape(all, [n, 1]), reshape(all, [1, n])];
  const ahead = add(
    convert(lt(mine, others), 'float'),
    mul(
      convert(equal(mine, others), 'float'),
      convert(lt(iota([n, n], 1), iota([n, n], 0)), 'float'),
    ),
  );
  const kept = convert(lt(reduceSum(ahead, 1), budget), 'float');
  let from = 0;
  return scores.map((s) => {
    const size = s.shape[0] as number;
    const own = sliceAxis(kept, 0, from, from + size);
    from += size;
    return own;
  });
}
