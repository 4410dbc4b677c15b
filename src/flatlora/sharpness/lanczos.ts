/**
 * The largest eigenvalue of a symmetric operator by the Lanczos method with full
 * reorthogonalisation.
 *
 * From a start vector v₁ it builds an orthonormal basis of span{v₁, Hv₁, H²v₁, …} in which H is
 * tridiagonal; the largest eigenvalue θ of that small matrix tends to H's own, and with s the last
 * component of its eigenvector the residual is known exactly: ‖H y − θ y‖ = β_k·|s|.
 *
 * Reference: Golub, Van Loan, "Matrix Computations", 4th ed., Section 10.1; Paige 1971.
 */

export interface TopEigenvalue {
  readonly eigenvalue: number;
  /** Products with the operator that were needed. */
  readonly iterations: number;
  /** ‖H y − θ y‖ / |θ|, the relative residual of the result. */
  readonly residual: number;
  /** Whether the residual is within the tolerance. */
  readonly converged: boolean;
  /** The unit eigenvector y. */
  readonly eigenvector: Float64Array;
}

export interface LanczosOptions {
  /** Relative residual at which to stop; 10⁻³ by default. */
  readonly tolerance?: number;
  /** 60 by default. */
  readonly maxIterations?: number;
}

const innerProduct = (x: Float64Array, y: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
};

/** x ← x − c·y */
const subtract = (x: Float64Array, c: number, y: Float64Array): void => {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) - c * (y[i] as number);
};

const scaled = (x: Float64Array, c: number): Float64Array => x.map((value) => value * c);

/**
 * The largest eigenvalue of the tridiagonal matrix (diagonal α, off-diagonal β) by bisection on the
 * number of its eigenvalues below x, and its unit eigenvector.
 */
export function topOfTridiagonal(
  alpha: readonly number[],
  beta: readonly number[],
): { readonly eigenvalue: number; readonly eigenvector: readonly number[] } {
  const k = alpha.length;
  const reach = alpha.map(
    (a, i) =>
      [a, Math.abs(beta[i - 1] ?? 0) + Math.abs(i < k - 1 ? (beta[i] as number) : 0)] as const,
  );
  let low = Math.min(...reach.map(([a, r]) => a - r));
  let high = Math.max(...reach.map(([a, r]) => a + r));
  const tiny = Number.EPSILON * Math.max(Math.abs(low), Math.abs(high), Number.MIN_VALUE);
  /** Whether all eigenvalues are below x: all pivots of the elimination of T − x are negative. */
  const allBelow = (x: number): boolean => {
    let pivot = (alpha[0] as number) - x;
    for (let i = 1; pivot < 0 && i < k; i++) {
      pivot = (alpha[i] as number) - x - (beta[i - 1] as number) ** 2 / pivot;
    }
    return pivot < 0;
  };
  while (high - low > tiny) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (allBelow(middle)) high = middle;
    else low = middle;
  }
  return { eigenvalue: high, eigenvector: tridiagonalEigenvector(alpha, beta, high) };
}

/** Three steps of inverse iteration with T − θ, by elimination with pivoting. */
function tridiagonalEigenvector(
  alpha: readonly number[],
  beta: readonly number[],
  eigenvalue: number,
): readonly number[] {
  const k = alpha.length;
  const size = Math.max(...alpha.map(Math.abs), ...beta.map(Math.abs), Number.MIN_VALUE);
  let x = Array.from({ length: k }, () => 1);
  for (let round = 0; round < 3; round++) {
    // Dense elimination: k is small.
    const rows = alpha.map((a, i) =>
      Array.from({ length: k + 1 }, (_, j) => {
        if (j === k) return x[i] as number;
        if (j === i) return a - eigenvalue;
        return Math.abs(i - j) === 1 ? (beta[Math.min(i, j)] as number) : 0;
      }),
    );
    for (let c = 0; c < k; c++) {
      const below = rows[c + 1];
      if (below && Math.abs(below[c] as number) > Math.abs(rows[c]?.[c] as number)) {
        [rows[c], rows[c + 1]] = [below, rows[c] as number[]];
      }
      const top = rows[c] as number[];
      if (Math.abs(top[c] as number) < Number.EPSILON * size) top[c] = Number.EPSILON * size;
      const next = rows[c + 1];
      if (next === undefined) continue;
      const factor = (next[c] as number) / (top[c] as number);
      for (const j of new Set([c, c + 1, Math.min(c + 2, k), k])) {
        next[j] = (next[j] as number) - factor * (top[j] as number);
      }
    }
    for (let i = k - 1; i >= 0; i--) {
      const row = rows[i] as number[];
      let value = row[k] as number;
      for (let j = i + 1; j < k; j++) value -= (row[j] as number) * (x[j] as number);
      x[i] = value / (row[i] as number);
    }
    const norm = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
    x = x.map((value) => value / norm);
  }
  return x;
}

/**
 * The largest eigenvalue (with its sign) of a symmetric operator.
 * @param product v ↦ H·v
 * @param start any vector that is not orthogonal to the wanted one; a random one will do.
 */
export async function lanczos(
  product: (v: Float64Array) => Promise<Float64Array>,
  start: Float64Array,
  { tolerance = 1e-3, maxIterations = 60 }: LanczosOptions = {},
): Promise<TopEigenvalue> {
  const basis = [scaled(start, 1 / Math.sqrt(innerProduct(start, start)))];
  const alpha: number[] = [];
  const beta: number[] = [];
  for (;;) {
    const v = basis.at(-1) as Float64Array;
    const w = Float64Array.from(await product(v));
    const length = Math.sqrt(innerProduct(w, w));
    alpha.push(innerProduct(v, w));
    // Twice is enough (Kahan, Parlett): the basis stays orthogonal to rounding.
    for (let pass = 0; pass < 2; pass++) for (const u of basis) subtract(w, innerProduct(u, w), u);
    const rest = Math.sqrt(innerProduct(w, w));
    const { eigenvalue, eigenvector } = topOfTridiagonal(alpha, beta);
    const error = rest * Math.abs(eigenvector.at(-1) as number);
    const residual = error === 0 ? 0 : error / Math.abs(eigenvalue);
    // Nothing is left outside the basis: it spans an invariant subspace.
    const exhausted = rest <= 1e-14 * length || alpha.length === start.length;
    if (residual <= tolerance || exhausted || alpha.length >= maxIterations) {
      const y = new Float64Array(start.length);
      for (const [i, u] of basis.entries()) subtract(y, -(eigenvector[i] as number), u);
      return {
        eigenvalue,
        iterations: alpha.length,
        residual,
        converged: residual <= tolerance || exhausted,
        eigenvector: y,
      };
    }
    beta.push(rest);
    basis.push(scaled(w, 1 / rest));
  }
}
