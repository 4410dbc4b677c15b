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
 * C is damped before it is inverted: C + d·mean(diag C)·I with d = 0.01, doubled until that is positive
 * definite. (Both codes double until ‖C C⁻¹ − I‖_F < 0.05, which guards float32; in float64 the first d
 * is enough for any covariance, and their results and ours are the same.)
 * If C is c times as large, B₀ is √c times as large and A₀ by as much smaller, so the size of C
 * matters for training; `layerCovariances` measures C as the authors do.
 * It takes the whole SVD of each target: seconds for 768×768.
 *
 * Reference: Yang et al., "CorDA: Context-oriented decomposition adaptation of large language models for
 * task-aware parameter-efficient fine-tuning", NeurIPS 2024; the authors' `decomposition.py`, PEFT's
 * `corda.py`.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { check, type HostArray, hostArray } from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { components, hostProduct, positiveDefiniteSolver, thinSvd } from '../decompositions.js';
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

/** The d of both codes. */
const FIRST_DAMPING = 0.01;

function trace(x: HostArray): number {
  const [n, data] = [x.shape[0] as number, numbersOf(x)];
  let sum = 0;
  for (let i = 0; i < n; i++) sum += data[i * (n + 1)] as number;
  return sum;
}

/** ½(C + Cᵀ) + d·mean(diag C)·I; what float32 has summed up need not be symmetric to the last bit. */
function damped(covariance: HostArray, damping: number): HostArray {
  const n = covariance.shape[0] as number;
  const c = Float64Array.from(numbersOf(covariance));
  const added = (damping * trace(covariance)) / n;
  return hostArray(
    c.map((x, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return 0.5 * (x + (c[j * n + i] as number)) + (i === j ? added : 0);
    }),
    [n, n],
  );
}

/** The damped covariance, and how to divide by it. The trace is positive, so some d is large enough. */
function invertible(covariance: HostArray) {
  for (let damping = FIRST_DAMPING; ; damping *= 2) {
    const matrix = damped(covariance, damping);
    const solve = positiveDefiniteSolver(matrix);
    if (solve !== undefined) return { matrix, solve };
  }
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
      return pipe(
        checkStatistic('corda', 'covariances', 'layerCovariances', covariances, path, [n, n]),
        E.chain(() => {
          const size = trace((covariances as LayerStatistics)[path] as HostArray);
          return check(
            size > 0,
            'argument',
            () =>
              `corda: covariances of "${path}" has trace ${size}, expected a sum of squares > 0`,
          );
        }),
      );
    },
    factors: (weight, scale, _key, path) => {
      const covariance = (covariances as LayerStatistics)[path] as HostArray;
      const { matrix, solve } = invertible(covariance);
      const all = thinSvd(hostProduct(weight, matrix));
      const from = mode === 'instruction' ? 0 : all.s.length - rank;
      const { u, s, v } = components(all, from, from + rank);
      const root = (k: number) => Math.sqrt((s[k] as number) / scale);
      return factorsFrom(u, solve(v), root, root);
    },
  });
}

/** CorDA on the target modules of a tree of weights. */
export const corda = (options: CordaOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(cordaLayer(options));
