/**
 * What `flat` and `lpfSgd` have in common: the loss at weights to which noise is added, or which are
 * rounded, or both; one draw a step, or the mean over several. They differ in the law of the noise.
 *
 * Several draws are so many copies of the loss in the program. Mapping it over the keys (`vmap`) gives
 * the same and was tried: on wasm a step was 1.07 (two draws) and 1.19 (four) times as long, and no
 * sooner compiled, for products of stacked weights are no cheaper than products in turn.
 */
import {
  add,
  check,
  FlatloraError,
  flatten,
  foldInTraced,
  type HalfPrecision,
  type Loss,
  type LossContext,
  type MadeOnDemand,
  mul,
  neg,
  orThrow,
  roundTo,
  splitTraced,
  treeMap,
  type Value,
  type Weight,
} from '../../autodiff/index.js';
import { isAuxiliary } from '../auxiliaryNames.js';
import { isMatrix } from '../targets.js';
import { layerKey, plusNoise, rounded } from './perturb.js';

/**
 * What is perturbed.
 * - `adapted`: the merged weights of the adapted layers (the method of the paper);
 * - `all`: every parameter of the model, "Flat-LoRA (all)" of Appendix C: matrices of whatever use by
 *   Eq. 7, arrays of other ranks (biases, norm scales, class tokens) by their absolute values;
 * - `factors`: the matrices among the trained parameters themselves (A and B; Table 6). Auxiliary
 *   arrays of a method (Bi-LoRA's second pair) are not among them.
 */
export type PerturbedPart = 'adapted' | 'all' | 'factors';

/** How noise is drawn for a weight and for what is no matrix, at a strength known when it runs. */
export interface NoiseLaw {
  readonly matrix: (weight: Weight, key: Value, strength: Value) => MadeOnDemand;
  readonly vector: (x: Value, key: Value, strength: Value) => Value;
}

export interface RandomPerturbation {
  /** For messages: the name of the transformer. */
  readonly name: string;
  readonly law: NoiseLaw;
  /** The strength at a step's progress t/T; `undefined` for no noise at all. */
  readonly strength: ((progress: Value) => Value) | undefined;
  readonly on: PerturbedPart;
  readonly samples: number;
  readonly antithetic: boolean;
  readonly recompute: boolean;
  readonly precision: HalfPrecision | undefined;
}

/** What happens to weights in one draw. */
interface Change extends Pick<RandomPerturbation, 'law' | 'recompute' | 'precision' | 'name'> {
  readonly key: Value;
  readonly strength: Value | undefined;
}

/** The options that every noise shares, in range or a typed error. */
export function requireSamples(name: string, samples: number, antithetic: boolean): void {
  orThrow(
    check(
      Number.isInteger(samples) && samples >= 1,
      'argument',
      () => `${name}: samples is ${samples}, expected an integer ≥ 1`,
    ),
  );
  orThrow(
    check(
      !antithetic || samples % 2 === 0,
      'argument',
      () => `${name}: samples is ${samples}, expected an even number of them with antithetic pairs`,
    ),
  );
}

/** The mean of the loss over the draws; outside training the loss itself. */
export const underNoise =
  <P, X>(loss: Loss<P, X>, perturbation: RandomPerturbation): Loss<P, X> =>
  (params, batch, context) => {
    if (!context.training) return loss(params, batch, context);
    const { on, samples, antithetic, strength } = perturbation;
    const size = strength?.(context.progress);
    const [own, rest] = splitTraced(context.stepKey) as [Value, Value];
    const draws = Array.from({ length: samples }, (_, k) => {
      // Both of a pair have one key, for their own ε and for whatever is random further inside.
      const pair = antithetic ? Math.floor(k / 2) : k;
      const mirrored = antithetic && k % 2 === 1 && size !== undefined;
      const change: Change = {
        ...perturbation,
        key: foldInTraced(own, pair),
        strength: mirrored ? neg(size) : size,
      };
      const inner = { ...context, stepKey: foldInTraced(rest, pair) };
      return on === 'factors'
        ? loss(changedFactors(params, change), batch, inner)
        : atChangedWeights(loss, on, change)(params, batch, inner);
    });
    return mul(
      draws.reduce((sum, term) => add(sum, term)),
      1 / samples,
    );
  };

/** A weight under the noise of `of`, a weight of the same name and shape, and then rounded. */
function changed(weight: Weight, of: Weight, name: string, change: Change): Weight {
  const { law, key, strength, recompute, precision } = change;
  const noisy =
    strength === undefined
      ? weight
      : plusNoise(weight, law.matrix(of, layerKey(key, name), strength), recompute);
  return precision === undefined ? noisy : rounded(noisy, precision);
}

/** The same for what is no matrix. */
function changedVector(x: Value, of: Value, name: string, change: Change): Value {
  const { law, key, strength, precision } = change;
  const noisy = strength === undefined ? x : add(x, law.vector(of, layerKey(key, name), strength));
  return precision === undefined ? noisy : roundTo(noisy, precision);
}

/** The loss whose weights are changed on their way to the model. */
const atChangedWeights =
  <P, X>(loss: Loss<P, X>, on: 'adapted' | 'all', change: Change): Loss<P, X> =>
  (params, batch, context) => {
    let touched = 0;
    // The noise is that of the weight as it is; what an outer transformer adds is added to it.
    const hooks: Pick<LossContext, 'weight' | 'vector'> = {
      weight: (weight, name, role) => {
        const outer = context.weight(weight, name, role);
        if (on === 'adapted' && role !== 'adapted') return outer;
        touched += 1;
        return changed(outer, weight, name, change);
      },
      vector: (x, name) => {
        const outer = context.vector(x, name);
        return on === 'all' ? changedVector(outer, x, name, change) : outer;
      },
    };
    const value = loss(params, batch, { ...context, ...hooks });
    if (touched === 0) {
      throw new FlatloraError(
        'argument',
        `${change.name}: the loss shows no weights to its context; put adapt(base, method) before ${change.name}`,
      );
    }
    return value;
  };

/** The noise on each matrix of the parameters themselves. */
function changedFactors<P>(params: P, change: Change): P {
  const { leaves, paths } = flatten<Value>(params);
  const perturbed = (x: Value, path: string) => isMatrix(x) && !isAuxiliary(path);
  if (!leaves.some((x, i) => perturbed(x, paths[i] as string))) {
    throw new FlatloraError(
      'argument',
      `${change.name}: no matrix among the parameters to perturb`,
    );
  }
  return treeMap(
    (x: Value, path: string) => (perturbed(x, path) ? changed(x, x, path, change) : x),
    params,
  ) as P;
}
