/**
 * The full gradient G = ∂L/∂W seen through LoRA's factors, and the perturbation of B that stands for
 * one of W along it.
 *
 * From ∂B = s·G Aᵀ and ∂A = s·BᵀG, with pseudo-inverses:
 *
 *     Ḡ  = ½·s⁻¹·(∂B (Aᵀ)⁺ + (Bᵀ)⁺ ∂A)                                                 Eq. 12
 *     Ē_B = s⁻¹·ρ·Ḡ/‖Ḡ‖_F · A⁺,   so that  W + s(B + Ē_B)A ≈ W′ + ρ·Ḡ/‖Ḡ‖_F            Eq. 13, 15
 *
 * Both terms of Ḡ are products of thin matrices, P A + B Q, and so is what is needed of it; no
 * matrix of the shape of W is formed. Pseudo-inverses are (M + δ·tr(M)/r·I)⁻¹ of the Gram matrices, the
 * δ because B is 0 at the start and nearly singular soon after; B = 0 gives the term 0.
 *
 * Reference: Deng et al., "Efficiently seeking flat minima for better generalization in fine-tuning
 * large language models and beyond" (FMLoRA, EFMLoRA), arXiv 2508.00522.
 */
import {
  add,
  concat,
  div,
  gt,
  matmul,
  matmulTransposed,
  max,
  mul,
  reduceSum,
  select,
  sliceAxis,
  solveSymmetric,
  sqrt,
  square,
  transpose,
  type Value,
} from '../autodiff/index.js';
import { groupsOf, type Pair, type Pairs, stackedPair, unstacked } from './adapterPairs.js';

export interface TransferOptions {
  /** ρ, per layer; a number or a scalar. */
  readonly rho: number | Value;
  /** LoRA's s. */
  readonly scale: number;
  /** δ, relative to the mean eigenvalue of a Gram matrix; 1e-6 by default (our choice). */
  readonly damping?: number;
}

/** Below all that float32 tells from zero in a trace of squares. */
const TINY = 1e-30;

/** M⁺X for stacks of Gram matrices M [L, r, r] with traces [L, 1, 1] and X [L, r, k], damped. */
function solveGram(gram: Value, trace: Value, right: Value, damping: number): Value {
  const size = max(div(trace, gram.shape.at(-1) as number), TINY);
  return div(solveSymmetric(div(gram, size), right, { damping }), size);
}

/**
 * Ē_B of stacks of layers.
 * @param pair A [L, r, n] and B [L, m, r], as they were where the gradient was taken.
 * @param gradient ∂A and ∂B of the same shapes.
 * @returns [L, m, r]; 0 for layers whose gradient is 0.
 */
export function perturbationOfB(
  { a, b }: Pair,
  gradient: Pair,
  { rho, scale, damping = 1e-6 }: TransferOptions,
): Value {
  const [ofA, ofB] = [matmulTransposed(a, a), matmul(transpose(b), b)];
  const size = (x: Value) => reduceSum(square(x), [1, 2], { keepAxes: true });
  const m = b.shape[1] as number;
  const r = b.shape[2] as number;
  const q = solveGram(ofB, size(b), gradient.a, damping);
  const qa = matmulTransposed(q, a);
  const sides = concat([transpose(gradient.b), transpose(qa)], 2);
  const solved = transpose(solveGram(ofA, size(a), sides, damping));
  // P = ∂B(AAᵀ)⁺ and QAᵀ(AAᵀ)⁺: 2s·Ḡ = P A + B Q, 2s·Ḡ A⁺ = P + B·QAᵀ(AAᵀ)⁺.
  const p = sliceAxis(solved, 1, 0, m);
  const along = add(p, matmul(b, sliceAxis(solved, 1, m, m + r)));
  const normSquared = [
    mul(matmul(transpose(p), p), ofA),
    mul(2, mul(transpose(p), transpose(matmul(b, qa)))),
    mul(ofB, matmulTransposed(q, q)),
  ]
    .map((terms) => reduceSum(terms, [1, 2], { keepAxes: true }))
    .reduce((sum, term) => add(sum, term));
  const moves = gt(normSquared, 0);
  const norm = sqrt(select(moves, normSquared, 1));
  return mul(along, select(moves, div(div(rho, scale), norm), 0));
}

/** Ē_B by path, for trees of layers with `a` and `b`; layers of one shape are computed at once. */
export function perturbationsOfB(
  params: Pairs,
  gradients: Pairs,
  options: TransferOptions,
): Readonly<Record<string, Value>> {
  return Object.fromEntries(
    groupsOf(params).flatMap((group) => {
      const perturbation = perturbationOfB(
        stackedPair(params, group),
        stackedPair(gradients, group),
        options,
      );
      const layers = unstacked(perturbation);
      return group.paths.map((path, i) => [path, layers[i] as Value] as const);
    }),
  );
}
