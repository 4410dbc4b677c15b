/**
 * FMLoRA, the exact form of EFMLoRA, as a loss transformer: the loss of LoRA with B moved so that the
 * merged weight moves as SAM on W would move it, as far as A and B can tell.
 *
 *     L(W + s·(B + Ē_B)·A),   Ē_B = s⁻¹·ρ·Ḡ/‖Ḡ‖_F·A⁺  per layer                        Eq. 14, 15
 *
 * Ḡ is the full gradient made of ∂A and ∂B (`fullGradient.ts`); Ē_B is a constant of the outer
 * gradient. Like `sam` it costs a second forward and backward pass; unlike SAM on W it needs no array
 * of the shape of W.
 *
 * Reference: Deng et al., arXiv 2508.00522, Algorithm 1.
 */
import {
  add,
  check,
  grad,
  type Loss,
  orThrow,
  stopGradient,
  type Value,
} from '../../autodiff/index.js';
import { requirePairs } from '../adapterPairs.js';
import { perturbationsOfB } from '../fullGradient.js';

export interface FmLoraOptions {
  /** ρ > 0, of each layer; 0.05 by default (the authors' code). */
  readonly rho?: number;
  /** LoRA's s = α/r. */
  readonly scale: number;
  /** δ of the pseudo-inverses; 1e-6 by default (our choice). */
  readonly damping?: number;
}

/**
 * The loss at B + Ē_B; outside training the given loss.
 *
 * @throws FlatloraError 'argument' when an option is not positive; while tracing 'tree' when the
 *   parameters are no pairs of A and B.
 */
export function fmLora({
  rho = 0.05,
  scale,
  damping = 1e-6,
}: FmLoraOptions): <P, X>(loss: Loss<P, X>) => Loss<P, X> {
  for (const [argument, x] of Object.entries({ rho, scale, damping })) {
    orThrow(
      check(
        Number.isFinite(x) && x > 0,
        'argument',
        () => `fmLora: ${argument} is ${x}, expected a number > 0`,
      ),
    );
  }
  return <P, X>(loss: Loss<P, X>): Loss<P, X> =>
    (params, batch, context) => {
      if (!context.training) return loss(params, batch, context);
      const pairs = requirePairs<Value>('fmLora', params);
      const gradient = grad((p: P) => loss(p, batch, context))(params);
      const moves = perturbationsOfB(pairs, requirePairs<Value>('fmLora', gradient), {
        rho,
        scale,
        damping,
      });
      const moved = Object.fromEntries(
        Object.entries(pairs).map(([path, { a, b }]) => [
          path,
          { a, b: add(b, stopGradient(moves[path] as Value)) },
        ]),
      );
      return loss(moved as P, batch, context);
    };
}
