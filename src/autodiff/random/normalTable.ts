/**
 * An exactly reproducible Gaussian. The eight bytes of a Threefry block pick eight entries t₀ … t₇ of one
 * small table, and eight normal numbers are their signed sums, a Hadamard transform:
 *
 *     z_j = Σ_k (−1)^(j·k) t_k,   j·k the number of bits that j and k have in common.
 *
 * Were the t independent and normal with variance 1/8, the z would be independent and standard normal,
 * since the transform is a rotation. The table's 256 values have the moments of N(0, 1/8) up to the
 * ninth, so all joint moments of the z up to degree nine are those of independent normal numbers; what is
 * left of the difference shrinks by summing eight of them: the distribution function is within 6·10⁻⁷ of Φ
 * on a grid (see the test), and the largest value is about 8.9.
 *
 * Box–Muller needs `log` and `cos`, which differ in the last bits from device to device. Look-ups do not,
 * and sums of the table's entries, multiples of 2⁻²⁰, are exact in float32 in any order: every backend
 * gives the same bits.
 */
import { PURPOSE, threefry2x32 } from './threefry.js';

/** Entries of the table: one per byte of a random block. */
export const NORMAL_TABLE_SIZE = 256;

/** Normal numbers that a block gives. */
export const NORMALS_PER_BLOCK = 8;

const horner = (coefficients: readonly number[], x: number): number =>
  coefficients.reduce((sum, c) => sum * x + c, 0);

/**
 * Φ⁻¹(p) for 10⁻⁶ < p < 1 − 10⁻⁶ to about 16 digits.
 * Reference: Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988).
 */
export function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (q * horner(CENTRE_NUMERATOR, r)) / horner(CENTRE_DENOMINATOR, r);
  }
  const r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p)) - 1.6;
  const size = horner(TAIL_NUMERATOR, r) / horner(TAIL_DENOMINATOR, r);
  return q < 0 ? -size : size;
}

const CENTRE_NUMERATOR = [
  2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
  13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608,
];
const CENTRE_DENOMINATOR = [
  5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
  5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1,
];
const TAIL_NUMERATOR = [
  7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
  1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959,
  1.42343711074968357734,
];
const TAIL_DENOMINATOR = [
  1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
  0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1,
];

/**
 * An entry from a mid-quantile q of N(0, 1): (c₀ + c₁q² + c₂q⁴ + c₃q⁶)·q. The coefficients solve the four
 * equations "the mean of t^p over the table is that of N(0, 1/8)" for p = 2, 4, 6, 8 (Newton's method);
 * mid-quantiles alone fall short, by a quarter in the eighth moment.
 */
const MOMENT_CORRECTION = [0.00138720001, -0.0167193178, 0.0510528618, 0.320622519];

/** All entries are multiples of this; the sum of eight stays below 2⁴, so float32 holds it exactly. */
const GRAIN = 2 ** -20;

function buildTable(): Float32Array {
  const half = NORMAL_TABLE_SIZE / 2;
  const table = new Float32Array(NORMAL_TABLE_SIZE);
  for (let i = 0; i < half; i++) {
    const q = normalQuantile((half + i + 0.5) / NORMAL_TABLE_SIZE);
    const entry = Math.round((q * horner(MOMENT_CORRECTION, q * q)) / GRAIN) * GRAIN;
    table[half + i] = entry;
    table[half - 1 - i] = -entry;
  }
  return table;
}

/** 256 values with the first nine moments of N(0, 1/8), ascending, symmetric about 0. */
export const normalTable: Float32Array = buildTable();

/** The eight standard normal numbers of a block's two words; byte k of the block counts from the lowest. */
export function normalsOfBlock([first, second]: readonly [number, number]): Float32Array {
  const z = new Float32Array(NORMALS_PER_BLOCK);
  for (let k = 0; k < 4; k++) {
    z[k] = normalTable[(first >>> (8 * k)) & 0xff] as number;
    z[4 + k] = normalTable[(second >>> (8 * k)) & 0xff] as number;
  }
  for (let bit = 1; bit < NORMALS_PER_BLOCK; bit *= 2) {
    for (let j = 0; j < NORMALS_PER_BLOCK; j++) {
      if ((j & bit) !== 0) continue;
      const [a, b] = [z[j] as number, z[j | bit] as number];
      z[j] = a + b;
      z[j | bit] = a - b;
    }
  }
  return z;
}

/** The first `count` standard normal numbers of a key's stream: number i is that of block ⌊i / 8⌋. */
export function normalStream(k0: number, k1: number, count: number): Float32Array {
  const out = new Float32Array(count);
  for (let at = 0; at < count; at += NORMALS_PER_BLOCK) {
    const block = normalsOfBlock(threefry2x32(k0, k1, PURPOSE.bits, at / NORMALS_PER_BLOCK));
    out.set(at + NORMALS_PER_BLOCK <= count ? block : block.subarray(0, count - at), at);
  }
  return out;
}
