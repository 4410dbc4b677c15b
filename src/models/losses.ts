/** Losses and scores: plain functions of logits and targets. */
import {
  argmax,
  convert,
  div,
  equal,
  exp,
  FlatloraError,
  iota,
  log,
  max,
  mean,
  mul,
  reduceMax,
  reduceSum,
  reshape,
  sameShape,
  select,
  showAval,
  square,
  stopGradient,
  sub,
  type Value,
} from '../autodiff/index.js';

export type Reduction = 'mean' | 'sum' | 'none';

export interface TargetOptions {
  /** Targets of this number count nowhere; −100 by default, `null` for none. */
  readonly ignoreIndex?: number | null;
}

export interface CrossEntropyOptions extends TargetOptions {
  /** Share of the target's probability that is spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
  /** Over the targets that are not ignored; `mean` by default. Of none at all the mean is 0. */
  readonly reduction?: Reduction;
}

const IGNORED = -100;

function checkTargets(name: string, logits: Value, targets: Value): void {
  const rows = logits.shape.slice(0, -1);
  if (logits.shape.length < 1 || !sameShape(rows, targets.shape) || targets.dtype !== 'int') {
    throw new FlatloraError(
      targets.dtype === 'int' ? 'shape' : 'dtype',
      `${name}: targets are ${showAval(targets)} for logits ${showAval(logits)}, expected int[${rows.join(',')}]`,
    );
  }
}

/** `perTarget` with zeros at ignored targets, reduced. */
function reduceTargets(
  perTarget: Value,
  targets: Value,
  ignoreIndex: number | null,
  reduction: Reduction,
): Value {
  if (ignoreIndex === null) return reduceAll(perTarget, reduction);
  const ignored = equal(targets, ignoreIndex);
  const counted = select(ignored, 0, perTarget);
  if (reduction !== 'mean') return reduceAll(counted, reduction);
  const count = reduceSum(select(ignored, 0, 1));
  return div(reduceSum(counted), max(count, 1));
}

const reduceAll = (x: Value, reduction: Reduction): Value =>
  reduction === 'none' ? x : reduction === 'sum' ? reduceSum(x) : mean(x);

/**
 * −Σ_c w_c · ln softmax(logits)_c, where w is 1 − ε at the target plus ε/C everywhere: logits
 * [b…, C] and int targets [b…]. Szegedy et al. 2016 (smoothing); the semantics are those of
 * PyTorch's `cross_entropy`. A target outside 0 … C − 1 that is not ignored is a mistake of the
 * caller's that nothing notices.
 *
 * Class weights come from comparing an index with the target inside the sum, so neither a one-hot
 * array nor the logarithms exist in memory.
 */
export function softmaxCrossEntropy(
  logits: Value,
  targets: Value,
  { labelSmoothing = 0, ignoreIndex = IGNORED, reduction = 'mean' }: CrossEntropyOptions = {},
): Value {
  checkTargets('softmaxCrossEntropy', logits, targets);
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new FlatloraError(
      'argument',
      `softmaxCrossEntropy: labelSmoothing is ${labelSmoothing}, expected 0 to 1`,
    );
  }
  const { shape } = logits;
  const classes = shape.at(-1) as number;
  const shifted = sub(logits, stopGradient(reduceMax(logits, -1, { keepAxes: true })));
  const isTarget = equal(iota(shape, shape.length - 1), reshape(targets, [...targets.shape, 1]));
  const spread = labelSmoothing / classes;
  const weighted =
    spread === 0
      ? select(isTarget, shifted, 0)
      : mul(select(isTarget, 1 - labelSmoothing + spread, spread), shifted);
  // Σ w = 1, hence −Σ w·(s − ln Σ eˢ) = ln Σ eˢ − Σ w·s.
  const perTarget = sub(log(reduceSum(exp(shifted), -1)), reduceSum(weighted, -1));
  return reduceTargets(perTarget, targets, ignoreIndex, reduction);
}

/** The share of targets that are the index of the greatest logit, ignored ones aside. */
export function accuracy(
  logits: Value,
  targets: Value,
  { ignoreIndex = IGNORED }: TargetOptions = {},
): Value {
  checkTargets('accuracy', logits, targets);
  const hit = convert(equal(argmax(logits), targets), 'float');
  return reduceTargets(hit, targets, ignoreIndex, 'mean');
}

/** (prediction − target)² over all elements; `mean` by default. */
export const meanSquaredError = (
  prediction: Value,
  target: Value,
  { reduction = 'mean' }: { readonly reduction?: Reduction } = {},
): Value => reduceAll(square(sub(prediction, target)), reduction);
