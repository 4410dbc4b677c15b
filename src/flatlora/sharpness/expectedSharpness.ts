/**
 * Expected sharpness: how much the loss rises, on average, under the random weight perturbation of
 * Eq. 7,
 *
 *     E_ε L(W′ + ε) − L(W′),
 *
 * the quantity that Flat-LoRA's objective (Eq. 6) adds to the loss. Measured in the full parameter
 * space, at merged weights.
 */
import {
  check,
  evaluationContext,
  foldIn,
  type HostArray,
  type Key,
  type Loss,
  type Operand,
  orThrow,
  treeMap,
  type Value,
  widened,
} from '../../autodiff/index.js';
import { layerKey, perturb } from '../objectives/perturb.js';
import { isMatrix, selectTargets, type Target } from '../targets.js';
import { onHost, type ProgramRunner, withProgram, withUploaded } from './runner.js';

/** The tree of weights with Eq. 7's noise on the matrices at `paths` (all matrices by default). */
export function noisyWeights<W>(
  weights: W,
  key: Operand,
  sigma: Operand,
  paths?: readonly string[],
): W {
  return treeMap((stored: Value, path: string) => {
    const x = widened(stored);
    return isMatrix(x) && x.dtype === 'float' && (paths?.includes(path) ?? true)
      ? perturb(x, layerKey(key, path), sigma)
      : x;
  }, weights) as W;
}

/** L(W + ε) − L(W) for the one ε of a key; traceable. */
export const lossRise =
  <W, X>(loss: Loss<W, X>, sigma: number, paths?: readonly string[]) =>
  (weights: W, batch: X, key: Value) => {
    const context = evaluationContext();
    return {
      calm: loss(weights, batch, context),
      noisy: loss(noisyWeights(weights, key, sigma, paths), batch, context),
    };
  };

export interface SharpnessOptions {
  /** σ > 0 of Eq. 7. */
  readonly sigma: number;
  /** Draws of ε; 16 by default. The same ones for the same key, whatever the weights. */
  readonly samples?: number;
  readonly key: Key;
  /** Which matrices are perturbed; all by default. */
  readonly targetModules?: readonly Target[];
}

export interface ExpectedSharpness {
  /** Mean of L(W + ε) − L(W) over the draws and the batches. */
  readonly rise: number;
  /** Its standard error over the draws. */
  readonly standardError: number;
  /** L(W), the mean over the batches. */
  readonly loss: number;
}

/**
 * The mean loss rise under Eq. 7, over several batches of equal size.
 * @param weights host arrays; merged weights for an adapted model.
 */
export async function meanLossRise<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  { sigma, samples = 16, key, targetModules }: SharpnessOptions,
): Promise<ExpectedSharpness> {
  orThrow(
    check(
      Number.isFinite(sigma) && sigma > 0,
      'argument',
      () => `meanLossRise: sigma is ${sigma}, expected a number > 0`,
    ),
  );
  orThrow(
    check(
      Number.isInteger(samples) && samples >= 2 && batches.length > 0,
      'argument',
      () =>
        `meanLossRise: ${samples} samples of ${batches.length} batches, expected at least 2 of at least 1`,
    ),
  );
  const paths = targetModules && orThrow(selectTargets(weights, targetModules));
  return withProgram(runner, lossRise(loss, sigma, paths), (program) =>
    withUploaded(runner, weights, async (onDevice) => {
      const rises: number[] = [];
      let calmTotal = 0;
      for (let k = 0; k < samples; k++) {
        let rise = 0;
        for (const batch of batches) {
          const { calm, noisy } = await onHost<{ calm: HostArray; noisy: HostArray }>(
            runner,
            program,
            onDevice,
            batch,
            foldIn(key, k),
          );
          rise += noisy.get() - calm.get();
          calmTotal += calm.get();
        }
        rises.push(rise / batches.length);
      }
      const rise = rises.reduce((sum, x) => sum + x, 0) / samples;
      const variance = rises.reduce((sum, x) => sum + (x - rise) ** 2, 0) / (samples - 1);
      return {
        rise,
        standardError: Math.sqrt(variance / samples),
        loss: calmTotal / (samples * batches.length),
      };
    }),
  );
}
