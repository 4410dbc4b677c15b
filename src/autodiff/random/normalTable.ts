/**
 * An exactly reproducible Gaussian: a random word's two halves each pick an entry of one table of
 * normal quantiles, a and b, and two normal numbers are their sum and their difference. For independent
 * normal a and b of variance ½ the numbers a + b and a − b are standard normal and independent of each
 * other, so that nothing of the word is used twice.
 *
 * Box–Muller needs `log` and `cos`, which differ in the last bits from device to device. A table
 * look-up and one addition in float32 do not: every backend gives the same bits. The sum of two
 * quantised normals is closer to normal than either: its distribution function is within 2.5·10⁻⁶
 * of Φ on a grid (see the test; 9·10⁻⁷ before the scaling that makes its variance one), and its
 * largest value is about 6.1.
 */

/** Entries of the table: one per 16-bit half of a random word. */
export const NORMAL_TABLE_SIZE = 65536;

/** ln x for 0 < x < 1 from +, −, ×, ÷ alone, so that every JavaScript engine agrees on each bit. */
function exactLog(x: number): number {
  let mantissa = x;
  let exponent = 0;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent -= 1;
  }
  const z = (mantissa - 1) / (mantissa + 1);
  let power = z;
  let sum = 0;
  for (let k = 1; k <= 31; k += 2) {
    sum += power / k;
    power *= z * z;
  }
  return 2 * sum + exponent * Math.LN2;
}

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
  const r = Math.sqrt(-exactLog(q < 0 ? p : 1 - p)) - 1.6;
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

function buildTable(): Float32Array {
  const half = NORMAL_TABLE_SIZE / 2;
  const upper = Float64Array.from({ length: half }, (_, i) =>
    normalQuantile((half + i + 0.5) / NORMAL_TABLE_SIZE),
  );
  // Scale so that the sum of two independent entries has variance one.
  const meanSquare = upper.reduce((sum, q) => sum + q * q, 0) / half;
  const scale = 1 / Math.sqrt(2 * meanSquare);
  const table = new Float32Array(NORMAL_TABLE_SIZE);
  upper.forEach((q, i) => {
    table[half + i] = q * scale;
    table[half - 1 - i] = -q * scale;
  });
  return table;
}

/** The quantiles of N(0, 1/2) at (i + 1/2) / 65536, symmetric about the middle, in float32. */
export const normalTable: Float32Array = buildTable();

/**
 * One of the two standard normal numbers of a random word, exact in float32.
 * @param which even: the sum of the entries of its upper and its lower half; odd: their difference.
 */
export function wordToNormal(word: number, which: number): number {
  const [a, b] = [normalTable[word >>> 16] as number, normalTable[word & 0xffff] as number];
  return Math.fround(which % 2 === 0 ? a + b : a - b);
}
