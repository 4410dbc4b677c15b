/**
 * What SAM over LoRA's factors does to the merged weights (Eq. 3), and how much of that lies where A
 * alone reaches (Eq. 4, Figure A2). With a layer's gradients ∂A, ∂B and c = ρ/‖(∂A, ∂B)‖, the norm
 * over all layers together,
 *
 *     ε_A = c·∂A,  ε_B = c·∂B
 *     ε_W = s·(B ε_A + ε_B A + ε_B ε_A)
 *     share = ‖s·ε_B A‖ / ‖ε_W‖                 (s cancels)
 *
 * Reference: Li et al., "Flat-LoRA", ICML 2025, Section 3.2 and Appendix B.
 */
import {
  add,
  div,
  globalNorm,
  grad,
  type Loss,
  matmul,
  treeLeaves,
  type Value,
} from '../../autodiff/index.js';
import type { LayerAdapters } from '../adapterMethod.js';
import { ascent } from '../objectives/sam.js';

/** LoRA's factors by the path of the weight. */
type Factors = LayerAdapters<'a' | 'b', Value>;

/**
 * ‖ε_B A‖ / ‖ε_W‖ over all layers together, the statistic of Figure A2: near 1 where LoRA-SAM looks
 * only at the row space of A; traceable. It forms ε_W of every layer.
 *
 * @param loss an adapted loss of LoRA's factors.
 * @param rho SAM's radius; 0.003 by default, the paper's best over the factors (Section 4.7).
 */
export const loraSamShare =
  <X>(loss: Loss<Factors, X>, rho = 0.003): Loss<Factors, X> =>
  (factors, batch, context) => {
    const gradient = grad((p: Factors) => loss(p, batch, context))(factors);
    const epsilon = ascent(gradient as Factors, rho);
    const alongA: Value[] = [];
    const whole: Value[] = [];
    for (const [path, { a, b }] of Object.entries(factors)) {
      const { a: epsilonA, b: epsilonB } = epsilon[path] as Factors[string];
      const through = matmul(epsilonB, a);
      alongA.push(through);
      whole.push(add(through, matmul(add(b, epsilonB), epsilonA)));
    }
    return div(globalNorm(treeLeaves(alongA)), globalNorm(treeLeaves(whole)));
  };
