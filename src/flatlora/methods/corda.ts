/**
 * CorDA: the singular vectors of W as seen by the data that goes through it.
 *
 *     C = mean XᵀX over calibration data,   W C = U S Vᵀ,   Ṽᵀ = Vᵀ C⁻¹,   so W = U S Ṽᵀ
 *     B₀ = U √(S/s),   A₀ = √(S/s) Ṽᵀ   of r components,   W_res = W − s·B₀A₀
 *
 * - `instruction` (instruction-previewed): the r greatest; calibrate on the task to learn.
 * - `knowledge` (knowledge-preserving): the r least; calibrate on what is not to be forgotten.
 *
 *     const covariances = await layerCovariances(runner, loss, base, targetModules, batches);
 *     const method = corda({ targetModules, covariances });
 *
 * C is damped before it is inverted: C + d·mean(diag C)·I with d = 0.01, doubled until
 * ‖C C⁻¹ − I‖_F < 0.05. In float64 the first d is enough for any covariance.
 * If C is c times as large, B₀ is √c times as large and A₀ by as much smaller, so the size of C
 * matters for training; `layerCovariances` measures C as the authors do.
 * It takes the whole SVD of each target: seconds for 768×768.
 *
 * Reference: Yang et al., "CorDA: Context-oriented decomposition adaptation of large language models for
 * task-aware parameter-efficient fine-tuning", NeurIPS 2024; the authors' `decomposition.py`, PEFT's
 * `corda.py`.
 */
import { FlatloraError, type HostArray, hostArray } from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { components, hostProduct, symmetricInverse, thinSvd } from '../decompositions.js';
import { numbersOf } from '../hostMatrix.js';
import { layerwise } from '../layerwise.js';
import { checkStatistic, type LayerStatistics } from '../statistics/index.js';
import type { LoraPart } from './lora.js';
import { factorsFrom, type ResidualOptions, residualLayer } from './residualStart.js';

export interface CordaOptions extends ResidualOptions {
  /** C of each target's inputs, [n, n]; without it nothing can start, only be read. */
  readonly covariances?: LayerStatistics;
  /** Which components are trained; `instruction` by default, PEFT's default too. */
  readonly mode?: 'instruction' | 'knowledge';
}

/** The authors' numbers: first damping, and the error of the inverse that is good enough. */
const FIRST_DAMPING = 0.01;
const GREATEST_ERROR = 0.05;

/** C + d·mean(diag C)·I. */
function damped(covariance: HostArray, damping: number): HostArray {
  const n = covariance.shape[0] as number;
  const out = Float64Array.from(numbersOf(covariance));
  let trace = 0;
  for (let i = 0; i < n; i++) trace += out[i * n + i] as number;
  for (let i = 0; i < n; i++) {
    out[i * n + i] = (out[i * n + i] as number) + (damping * trace) / n;
  }
  return hostArray(out, [n, n]);
}

/** ‖P − I‖_F */
function distanceToIdentity(p: HostArray): number {
  const n = p.shape[0] as number;
  let sum = 0;
  numbersOf(p).forEach((x, i) => {
    sum += (i % (n + 1) === 0 ? x - 1 : x) ** 2;
  });
  return Math.sqrt(sum);
}

/** The damped covariance and its inverse. */
function invertible(covariance: HostArray, path: string) {
  for (let damping = FIRST_DAMPING; damping < 100; damping *= 2) {
    const matrix = damped(covariance, damping);
    const inverse = symmetricInverse(matrix);
    if (distanceToIdentity(hostProduct(matrix, inverse)) < GREATEST_ERROR) {
      return { matrix, inverse };
    }
  }
  throw new FlatloraError(
    'argument',
    `corda: the covariance of "${path}" cannot be inverted; expected a symmetric matrix with non-negative eigenvalues`,
  );
}

/** CorDA of one weight matrix. */
export function cordaLayer({
  covariances,
  mode = 'instruction',
  ...options
}: CordaOptions): LayerMethod<LoraPart> {
  const { rank = 8 } = options;
  return residualLayer(options, {
    name: 'corda',
    ready: (path, { shape }) => {
      const n = shape[1] as number;
      return checkStatistic('corda', 'covariances', 'layerCovariances', covariances, path, [n, n]);
    },
    factors: (weight, scale, _key, path) => {
      const covariance = (covariances as LayerStatistics)[path] as HostArray;
      const { matrix, inverse } = invertible(covariance, path);
      const all = thinSvd(hostProduct(weight, matrix));
      const from = mode === 'instruction' ? 0 : all.s.length - rank;
      const { u, s, v } = components(all, from, from + rank);
      const root = (k: number) => Math.sqrt((s[k] as number) / scale);
      return factorsFrom(u, hostProduct(inverse, v), root, root);
    },
  });
}

/** CorDA on the target modules of a tree of weights. */
export const corda = (options: CordaOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(cordaLayer(options));
