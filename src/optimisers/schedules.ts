/**
 * Schedules: numbers that depend on the step, such as the learning rate.
 *
 * Each formula is written once, over whatever can be added and multiplied, and is read in two ways:
 * on traced values inside a step's program, and on plain numbers on the host for plots and logs.
 * Steps count from 0: `at(i)` is used by optimisation step `i`.
 *
 * Reference: the schedules of Hugging Face transformers (`get_cosine_schedule_with_warmup`,
 * `get_linear_schedule_with_warmup`), to which tests hold these.
 */
import {
  add,
  convert,
  cos,
  div,
  FlatloraError,
  lift,
  lt,
  max,
  min,
  mul,
  select,
  sub,
  type Value,
} from '../autodiff/index.js';

/** What the formulas need of numbers `T`; plain numbers may stand as operands. */
interface Arithmetic<T> {
  readonly constant: (x: number) => T;
  readonly add: (x: T | number, y: T | number) => T;
  readonly sub: (x: T | number, y: T | number) => T;
  readonly mul: (x: T | number, y: T | number) => T;
  readonly div: (x: T | number, y: T | number) => T;
  readonly max: (x: T | number, y: T | number) => T;
  readonly min: (x: T | number, y: T | number) => T;
  readonly cos: (x: T) => T;
  /** `x` where a < b, else `y`. */
  readonly where: (a: T, b: number, x: T, y: T) => T;
}

const onHost: Arithmetic<number> = {
  constant: (x) => x,
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  max: Math.max,
  min: Math.min,
  cos: Math.cos,
  where: (a, b, x, y) => (a < b ? x : y),
};

const onTape: Arithmetic<Value> = {
  constant: (x) => lift(x),
  add,
  sub,
  mul,
  div,
  max,
  min,
  cos,
  where: (a, b, x, y) => select(lt(a, b), x, y),
};

export interface Schedule {
  /** At a step known only when the program runs: int[] or float[] to float[]. */
  readonly traced: (step: Value) => Value;
  /** The same number on the host, in double precision. */
  readonly at: (step: number) => number;
}

type Formula = <T>(arithmetic: Arithmetic<T>, step: T) => T;

const schedule = (formula: Formula): Schedule => ({
  traced: (step) => formula(onTape, convert(step, 'float')),
  at: (step) => formula(onHost, step),
});

const requireFinite = (name: string, argument: string, x: number): void => {
  if (!Number.isFinite(x)) {
    throw new FlatloraError('argument', `${name}: ${argument} is ${x}, expected a finite number`);
  }
};

/** The same value at every step. */
export function constantSchedule(value: number): Schedule {
  requireFinite('constantSchedule', 'value', value);
  return schedule((a) => a.constant(value));
}

/** A number as a constant schedule; a schedule as it is. */
export const asSchedule = (value: number | Schedule): Schedule =>
  typeof value === 'number' ? constantSchedule(value) : value;

export interface DecayOptions {
  /** Steps of the whole run, warm-up included. */
  readonly totalSteps: number;
  /** Steps during which the value rises linearly from 0; 0 by default. Step 0 then uses 0. */
  readonly warmUpSteps?: number;
}

function requireSteps(name: string, { totalSteps, warmUpSteps = 0 }: DecayOptions): void {
  if (!Number.isInteger(totalSteps) || totalSteps < 1) {
    throw new FlatloraError(
      'argument',
      `${name}: totalSteps is ${totalSteps}, expected a positive integer`,
    );
  }
  if (!Number.isInteger(warmUpSteps) || warmUpSteps < 0 || warmUpSteps > totalSteps) {
    throw new FlatloraError(
      'argument',
      `${name}: warmUpSteps is ${warmUpSteps}, expected an integer from 0 to totalSteps = ${totalSteps}`,
    );
  }
}

/** `peak` times a linear rise over the warm-up, then times `after` of the share of the rest done. */
function withWarmUp(
  name: string,
  peak: number,
  options: DecayOptions,
  after: <T>(arithmetic: Arithmetic<T>, share: T) => T,
): Schedule {
  requireFinite(name, 'peak', peak);
  requireSteps(name, options);
  const { totalSteps, warmUpSteps = 0 } = options;
  const rest = Math.max(1, totalSteps - warmUpSteps);
  return schedule((a, step) =>
    a.mul(
      peak,
      a.where(
        step,
        warmUpSteps,
        a.div(step, Math.max(1, warmUpSteps)),
        after(a, a.div(a.sub(step, warmUpSteps), rest)),
      ),
    ),
  );
}

/** Linear warm-up to `peak`, then linear to 0 at `totalSteps`, and 0 from there on. */
export const linearSchedule = (peak: number, options: DecayOptions): Schedule =>
  withWarmUp('linearSchedule', peak, options, (a, share) => a.max(0, a.sub(1, share)));

/** Linear warm-up to `peak`, and constant from there on. */
export const warmUpSchedule = (peak: number, warmUpSteps: number): Schedule =>
  withWarmUp('warmUpSchedule', peak, { totalSteps: Math.max(1, warmUpSteps), warmUpSteps }, (a) =>
    a.constant(1),
  );

export interface CosineOptions extends DecayOptions {
  /** Waves of the cosine; ½, its default, falls once from `peak` to 0 at `totalSteps`. */
  readonly cycles?: number;
}

/**
 * Linear warm-up to `peak`, then `peak · max(0, ½(1 + cos(2π · cycles · share)))`. Beyond
 * `totalSteps` the cosine goes on, as in Hugging Face's.
 */
export function cosineSchedule(
  peak: number,
  { cycles = 0.5, ...options }: CosineOptions,
): Schedule {
  requireFinite('cosineSchedule', 'cycles', cycles);
  return withWarmUp('cosineSchedule', peak, options, (a, share) =>
    a.max(0, a.mul(0.5, a.add(1, a.cos(a.mul(2 * Math.PI * cycles, share))))),
  );
}
