/**
 * The largest eigenvalues of a small symmetric tridiagonal matrix T and their unit eigenvectors.
 *
 * Eigenvalues: by bisection on how many lie above x, which is the number of positive pivots in the
 * elimination of T − x (Sylvester's law of inertia). Eigenvectors: by inverse iteration, each kept
 * orthogonal to those before, which also serves equal eigenvalues.
 *
 * Reference: Golub, Van Loan, "Matrix Computations", 4th ed., Sections 8.4.1 and 8.2.2.
 */

export interface Eigenpair {
  readonly eigenvalue: number;
  readonly eigenvector: readonly number[];
}

/**
 * The `count` largest, in falling order; all of them where T has fewer.
 * @param alpha the diagonal.
 * @param beta the off-diagonal, one shorter.
 */
export function topOfTridiagonal(
  alpha: readonly number[],
  beta: readonly number[],
  count = 1,
): readonly Eigenpair[] {
  // Gershgorin: all eigenvalues lie within the sums of the neighbours around the diagonal.
  const reach = alpha.map(
    (a, i) => [a, Math.abs(beta[i - 1] ?? 0) + Math.abs(beta[i] ?? 0)] as const,
  );
  const lowest = Math.min(...reach.map(([a, r]) => a - r));
  const highest = Math.max(...reach.map(([a, r]) => a + r));
  const size = Math.max(Math.abs(lowest), Math.abs(highest), Number.MIN_VALUE);
  const tiny = Number.EPSILON * size;

  const above = (x: number): number => {
    let positive = 0;
    let pivot = 1;
    for (const [i, a] of alpha.entries()) {
      const b = beta[i - 1] ?? 0;
      pivot = a - x - (b * b) / pivot;
      if (Math.abs(pivot) < Number.EPSILON * tiny) pivot = -Number.EPSILON * tiny;
      if (pivot > 0) positive += 1;
    }
    return positive;
  };

  const pairs: Eigenpair[] = [];
  for (let k = 0; k < Math.min(count, alpha.length); k++) {
    let [low, high] = [lowest - tiny, highest + tiny];
    while (high - low > tiny) {
      const middle = (low + high) / 2;
      if (middle <= low || middle >= high) break;
      if (above(middle) > k) low = middle;
      else high = middle;
    }
    const found = pairs.map(({ eigenvector }) => eigenvector);
    pairs.push({ eigenvalue: high, eigenvector: inverseIteration(alpha, beta, high, found) });
  }
  return pairs;
}

const normalised = (x: readonly number[]): readonly number[] => {
  const length = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
  return x.map((value) => value / length);
};

/** x without its parts along some orthonormal vectors. */
const without = (x: readonly number[], vectors: readonly (readonly number[])[]) =>
  vectors.reduce<readonly number[]>((rest, v) => {
    const part = rest.reduce((sum, value, i) => sum + value * (v[i] as number), 0);
    return rest.map((value, i) => value - part * (v[i] as number));
  }, x);

/** Four steps of (T − θ)⁻¹, orthogonal to the eigenvectors that are known. */
function inverseIteration(
  alpha: readonly number[],
  beta: readonly number[],
  eigenvalue: number,
  known: readonly (readonly number[])[],
): readonly number[] {
  // Nothing special about these numbers: a start with a part along every eigenvector.
  let x: readonly number[] = alpha.map((_, i) => 1 + Math.sin(1 + i + 7 * known.length));
  for (let round = 0; round < 4; round++) {
    x = normalised(without(x, known));
    x = normalised(without(solveShifted(alpha, beta, eigenvalue, x), known));
  }
  return x;
}

/** (T − θ)⁻¹·x by elimination with pivoting; dense, for T is small. */
function solveShifted(
  alpha: readonly number[],
  beta: readonly number[],
  shift: number,
  x: readonly number[],
): readonly number[] {
  const k = alpha.length;
  const size = Math.max(...alpha.map(Math.abs), ...beta.map(Math.abs), Number.MIN_VALUE);
  const rows = alpha.map((a, i) =>
    Array.from({ length: k + 1 }, (_, j) => {
      if (j === k) return x[i] as number;
      if (j === i) return a - shift;
      return Math.abs(i - j) === 1 ? (beta[Math.min(i, j)] as number) : 0;
    }),
  );
  for (let c = 0; c < k; c++) {
    const below = rows[c + 1];
    if (below && Math.abs(below[c] as number) > Math.abs(rows[c]?.[c] as number)) {
      [rows[c], rows[c + 1]] = [below, rows[c] as number[]];
    }
    const top = rows[c] as number[];
    // T − θ is singular up to rounding; a tiny pivot in the place of zero is what makes it work.
    if (Math.abs(top[c] as number) < Number.EPSILON * size) top[c] = Number.EPSILON * size;
    const next = rows[c + 1];
    if (next === undefined) continue;
    const factor = (next[c] as number) / (top[c] as number);
    for (const j of new Set([c, c + 1, Math.min(c + 2, k), k])) {
      next[j] = (next[j] as number) - factor * (top[j] as number);
    }
  }
  const solution = new Array<number>(k).fill(0);
  for (let i = k - 1; i >= 0; i--) {
    const row = rows[i] as number[];
    let value = row[k] as number;
    for (let j = i + 1; j < k; j++) value -= (row[j] as number) * (solution[j] as number);
    solution[i] = value / (row[i] as number);
  }
  return solution;
}
