/**
 * The largest eigenvalues of a symmetric operator by the Lanczos method with full
 * reorthogonalisation.
 *
 * From a start vector v₁ it builds an orthonormal basis of span{v₁, Hv₁, H²v₁, …} in which H is
 * tridiagonal; the largest eigenvalues θ of that small matrix tend to H's own, and with s the last
 * component of such an eigenvector the residual is known exactly: ‖H y − θ y‖ = β_k·|s|. Without
 * reorthogonalisation rounding would make the method find the same eigenvalue again and again.
 *
 * Reference: Golub, Van Loan, "Matrix Computations", 4th ed., Section 10.1; Paige 1971.
 */
import { innerProduct, norm, scaled } from './space.js';
import { topOfTridiagonal } from './tridiagonal.js';

export interface TopEigenvalues {
  /** In falling order of what was asked for: the largest first, or the smallest first. */
  readonly eigenvalues: readonly number[];
  /** ‖H y_i − θ_i y_i‖ / |θ₁| for each. */
  readonly residuals: readonly number[];
  /** The unit eigenvectors y_i. */
  readonly eigenvectors: readonly Float64Array[];
  /** Products with the operator that were needed. */
  readonly iterations: number;
  /** Whether all residuals are within the tolerance. */
  readonly converged: boolean;
}

export interface LanczosOptions {
  /** How many eigenvalues, each counted with its multiplicity in the space searched; 1 by default. */
  readonly count?: number;
  /** The algebraically largest (default) or smallest ones. */
  readonly end?: 'largest' | 'smallest';
  /** Residual at which to stop, relative to the first eigenvalue; 10⁻³ by default. */
  readonly tolerance?: number;
  /** 60 by default, or 12 an eigenvalue if that is more. The basis keeps so many vectors in float64. */
  readonly maxIterations?: number;
}

/** x ← x − c·y */
const subtract = (x: Float64Array, c: number, y: Float64Array): void => {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) - c * (y[i] as number);
};

/** Twice is enough (Kahan, Parlett): x is then orthogonal to the basis up to rounding. */
const orthogonalise = (x: Float64Array, basis: readonly Float64Array[]): void => {
  for (let pass = 0; pass < 2; pass++) for (const u of basis) subtract(x, innerProduct(u, x), u);
};

/**
 * Eigenvalues at one end of a symmetric operator's spectrum, with their signs.
 *
 * One start vector finds a multiple eigenvalue once, until its Krylov space is exhausted; then the
 * search goes on from a fresh vector, if more eigenvalues are asked for.
 *
 * @param product v ↦ H·v
 * @param start k ↦ the k-th start vector; random ones will do.
 */
export async function lanczos(
  product: (v: Float64Array) => Promise<Float64Array>,
  start: (k: number) => Float64Array,
  {
    count = 1,
    end = 'largest',
    tolerance = 1e-3,
    maxIterations = Math.max(60, 12 * count),
  }: LanczosOptions = {},
): Promise<TopEigenvalues> {
  const sign = end === 'largest' ? 1 : -1;
  const first = start(0);
  const size = first.length;
  const basis = [scaled(first, 1 / norm(first))];
  const alpha: number[] = [];
  const beta: number[] = [];
  let starts = 1;
  for (;;) {
    const v = basis.at(-1) as Float64Array;
    const w = scaled(await product(v), sign);
    const length = norm(w);
    alpha.push(innerProduct(v, w));
    orthogonalise(w, basis);
    const rest = norm(w);
    const pairs = topOfTridiagonal(alpha, beta, count);
    // Nothing is left outside the basis: it spans an invariant subspace.
    const exhausted = rest <= 1e-14 * length || alpha.length === size;
    const greatest = Math.abs(pairs[0]?.eigenvalue ?? 0);
    const residuals = pairs.map(({ eigenvector }) => {
      const error = exhausted ? 0 : rest * Math.abs(eigenvector.at(-1) as number);
      return error === 0 ? 0 : error / greatest;
    });
    const complete = pairs.length === Math.min(count, size);
    const converged = complete && residuals.every((residual) => residual <= tolerance);
    if (converged || alpha.length >= Math.min(maxIterations, size)) {
      return {
        eigenvalues: pairs.map(({ eigenvalue }) => sign * eigenvalue),
        residuals,
        eigenvectors: pairs.map(({ eigenvector }) => {
          const y = new Float64Array(size);
          for (const [i, u] of basis.entries()) subtract(y, -(eigenvector[i] as number), u);
          return y;
        }),
        iterations: alpha.length,
        converged,
      };
    }
    if (exhausted) {
      const fresh = Float64Array.from(start(starts));
      starts += 1;
      orthogonalise(fresh, basis);
      beta.push(0);
      basis.push(scaled(fresh, 1 / norm(fresh)));
    } else {
      beta.push(rest);
      basis.push(scaled(w, 1 / rest));
    }
  }
}
