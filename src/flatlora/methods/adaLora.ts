/**
 * AdaLoRA: LoRA in the form of a singular value decomposition, whose directions compete for a budget.
 *
 *     W + s·B (E ⊙ A),   A [r₀, n], E [r₀, 1], B [m, r₀],   s = α/(r₀ + 1e-5)
 *     loss + w·mean over all A and B of ‖A Aᵀ − I‖_F, ‖Bᵀ B − I‖_F
 *
 * A and B start as N(0, 0.02²), E as 0, so training starts at the pre-trained model. Each layer begins
 * with r₀ directions; by the end r of them are left in the mean over layers: where they stand is decided
 * by importance (`rankBudget.ts`), and the others' E is set to 0. The allocator is part of `optimiser`,
 * so it cannot be forgotten; its timetable follows from the length of the run, and its averages are
 * arrays of the optimiser's state, which checkpoints keep.
 *
 * As in PEFT the importance of a step is that of the updated numbers with the step's gradient, before
 * whatever the user's optimiser does to it (clipping). Of equal scores the first stay; the reference
 * drops all of them.
 *
 * Reference: Zhang et al., "Adaptive budget allocation for parameter-efficient fine-tuning", ICLR 2023;
 * the authors' code (QingruZhang/AdaLoRA) and PEFT's.
 */
import {
  add,
  convert,
  equal,
  FlatloraError,
  flatData,
  gt,
  type HostArray,
  hostArray,
  iota,
  lowRankSum,
  matmul,
  matmulTransposed,
  mul,
  reduceSum,
  select,
  sqrt,
  square,
  sub,
  transpose,
  type Value,
} from '../../autodiff/index.js';
import type { AdapterMethod, LayerMethod, TrainingLength } from '../adapterMethod.js';
import { hostLowRankSum, hostNormalMatrix } from '../hostMatrix.js';
import { layerwise } from '../layerwise.js';
import type { Target } from '../targets.js';
import { requireBelowOne, requirePositive } from './auxiliary.js';
import { adapterDropout, checkLora } from './lora.js';
import { type AdaLayers, type AdaLoraPart, allocating } from './rankAllocator.js';
import { requireTimetable } from './rankBudget.js';

export type { AdaLoraPart } from './rankAllocator.js';

export interface AdaLoraOptions {
  /** r: the mean rank of a layer at the end; 8 by default, as LoRA's. */
  readonly rank?: number;
  /** r₀ ≥ r: the rank of every layer at the start; 1.5 r, rounded up, by default (PEFT: 12 for 8). */
  readonly initialRank?: number;
  /** α > 0 in s = α/(r₀ + 1e-5); 16 by default, as LoRA's. */
  readonly alpha?: number;
  readonly targetModules: readonly Target[];
  /** Share of the inputs of A that is dropped in training, 0 ≤ p < 1; 0 by default. */
  readonly dropout?: number;
  /** w ≥ 0; 0.5 by default (PEFT; the authors use 0.1 to 0.5 by task). */
  readonly orthogonality?: number;
  /** β₁ and β₂ in (0, 1); 0.85 by default (the reference). */
  readonly beta1?: number;
  readonly beta2?: number;
  /** t_i; 0.12 T, rounded, by default (the authors' GLUE scripts have 0.09 to 0.15 T). */
  readonly initialSteps?: number;
  /** t_f; 0.5 T, rounded, by default (the scripts have 0.46 to 0.58 T). */
  readonly finalSteps?: number;
  /** ΔT; T/600, at least 1, by default (the scripts have T/670 and T/860 on larger sets). */
  readonly interval?: number;
}

/** Keeps s finite where r₀ is 0 in PEFT's formula; kept for its sake. */
const RANK_GUARD = 1e-5;

/** ‖P − I‖_F with derivative 0 where it is 0. */
function distanceFromIdentity(p: Value): Value {
  const r = p.shape[0] as number;
  const identity = convert(equal(iota([r, r], 0), iota([r, r], 1)), 'float');
  const squared = reduceSum(square(sub(p, identity)));
  const positive = gt(squared, 0);
  return select(positive, sqrt(select(positive, squared, 1)), 0);
}

/** The mean of ‖A Aᵀ − I‖_F and ‖Bᵀ B − I‖_F over all layers. */
export function orthogonalityPenalty(adapters: AdaLayers): Value {
  const distances = Object.values(adapters).flatMap(({ a, b }) => [
    distanceFromIdentity(matmulTransposed(a, a)),
    distanceFromIdentity(matmul(transpose(b), b)),
  ]);
  return mul(
    distances.reduce((sum, d) => add(sum, d)),
    1 / distances.length,
  );
}

/** E ⊙ A on the host. */
function scaledRows(e: HostArray, a: HostArray): HostArray {
  const [r, n] = a.shape as [number, number];
  const [by, rows] = [flatData(e), flatData(a)];
  const out = new Float64Array(r * n);
  for (let i = 0; i < r * n; i++) out[i] = (by[Math.floor(i / n)] as number) * (rows[i] as number);
  return hostArray(out, [r, n]);
}

/** How many directions of each layer are left: those whose E is not 0. */
export const adaLoraRanks = (adapters: AdaLayers<HostArray>): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(adapters).map(([path, { e }]) => [
      path,
      Array.from(flatData(e)).filter((x) => x !== 0).length,
    ]),
  );

/** AdaLoRA of one weight matrix. */
export function adaLoraLayer({
  rank = 8,
  initialRank = Math.ceil(1.5 * rank),
  alpha = 16,
  targetModules,
  dropout = 0,
  orthogonality = 0.5,
  beta1 = 0.85,
  beta2 = 0.85,
  ...times
}: AdaLoraOptions): LayerMethod<AdaLoraPart> {
  for (const [argument, x] of Object.entries({ beta1, beta2 })) {
    requirePositive('adaLora', argument, x);
    requireBelowOne('adaLora', argument, x);
  }
  if (!(orthogonality >= 0 && Number.isFinite(orthogonality))) {
    throw new FlatloraError(
      'argument',
      `adaLora: orthogonality is ${orthogonality}, expected a number ≥ 0`,
    );
  }
  if (!(Number.isInteger(rank) && rank >= 1 && rank <= initialRank)) {
    throw new FlatloraError(
      'argument',
      `adaLora: rank is ${rank}, expected an integer from 1 to initialRank = ${initialRank}`,
    );
  }
  const scale = alpha / (initialRank + RANK_GUARD);
  const timetable = ({ totalSteps }: TrainingLength) =>
    requireTimetable({
      initialSteps: times.initialSteps ?? Math.round(0.12 * totalSteps),
      finalSteps: times.finalSteps ?? Math.round(0.5 * totalSteps),
      interval: times.interval ?? Math.max(1, Math.round(totalSteps / 600)),
      totalSteps,
    });
  return {
    name: 'adalora',
    targetModules,
    check: (path, shape) => checkLora(path, shape, { rank: initialRank, alpha, dropout }),
    shapes: ([m, n]) => ({ a: [initialRank, n], b: [m, initialRank], e: [initialRank, 1] }),
    init: (weight, key) => {
      const [m, n] = weight.shape as [number, number];
      const normals = hostNormalMatrix(key, [initialRank, n + m], 0.02);
      const data = flatData(normals) as Float32Array;
      return {
        adapter: {
          a: hostArray(data.slice(0, initialRank * n), [initialRank, n]),
          b: hostArray(data.slice(initialRank * n), [m, initialRank]),
          e: hostArray(new Float32Array(initialRank), [initialRank, 1]),
        },
      };
    },
    effective: ({ name, frozen }, { a, b, e }, context) =>
      lowRankSum(frozen, {
        a: mul(e, a),
        b,
        scale,
        onInput: adapterDropout(dropout, name, context),
      }),
    learningRates: { a: 1, b: 1, e: 1 },
    optimiser: (inner, run) => allocating(inner, { rank, beta1, beta2, timetable: timetable(run) }),
    ...(orthogonality > 0 && {
      penalty: (adapters: AdaLayers) => mul(orthogonality, orthogonalityPenalty(adapters)),
    }),
    merge: (weight, { a, b, e }) => hostLowRankSum(weight, scaledRows(e, a), b, scale),
    unmerge: (weight, { a, b, e }) => hostLowRankSum(weight, scaledRows(e, a), b, -scale),
    savedNames: { a: 'lora_A', b: 'lora_B', e: 'lora_E' },
  };
}

/**
 * AdaLoRA on the target modules of a tree of weights.
 *
 * @throws FlatloraError 'argument' when an option is out of range; in `optimiser` when the timetable
 *   does not fit the run.
 */
export const adaLora = (options: AdaLoraOptions): AdapterMethod<AdaLayers<HostArray>> =>
  layerwise(adaLoraLayer(options));
