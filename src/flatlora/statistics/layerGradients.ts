/** The mean gradient of each target's weight over calibration batches, for LoRA-GA. */
import { evaluationContext, grad, type Loss, orThrow, type Value } from '../../autodiff/index.js';
import type { ProgramRunner } from '../sharpness/runner.js';
import { selectTargets, type Target } from '../targets.js';
import type { LayerStatistics } from './layerStatistics.js';
import { meanOverBatches, valuesAt, withWeights } from './meanOverBatches.js';

/**
 * ∂L/∂W [m, n] of each target, the mean over batches (equal weight for each), as float64.
 *
 * Dropout and noise are off. The authors of LoRA-GA take 64 batches of two examples, with dropout on
 * where the model has it.
 *
 * @param loss of weights and batch: the task's own, before `adapt`.
 * @param weights the pre-trained weights, host arrays; half precision is widened.
 * @throws FlatloraError when there is no batch, or a target names no matrix.
 */
export async function layerGradients<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  targetModules: readonly Target[],
  batches: readonly unknown[],
): Promise<LayerStatistics> {
  const paths = orThrow(selectTargets(weights, targetModules));
  const gradients = (all: W, batch: X): Readonly<Record<string, Value>> =>
    grad((at: Readonly<Record<string, Value>>) =>
      loss(withWeights(all, at), batch, evaluationContext()),
    )(valuesAt(all, paths)) as Readonly<Record<string, Value>>;
  return meanOverBatches('layerGradients', runner, gradients, weights, batches);
}
