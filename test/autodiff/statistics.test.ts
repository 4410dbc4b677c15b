/**
 * The laws of the random numbers. Every check states its sample size n, its bound and the
 * probability that right code fails it (for a key that is not fixed), which is below 10⁻⁶, and is
 * shown to fail on a planted bug. Scores are nearly N(0, 1); |score| > 5.5 has probability 4e-8, and
 * a test that looks at m scores fails by chance with at most m times that.
 */
import {
  foldIn,
  hostBits,
  hostNormal,
  hostPermutation,
  hostUniform,
  type Key,
  key,
  NORMAL_TABLE_SIZE,
  NORMALS_PER_BLOCK,
  normalQuantile,
  normalTable,
  split,
} from '../../src/autodiff/index.js';
import {
  chiSquareUniform,
  correlationScore,
  kolmogorovSmirnov,
  meanOf,
  momentOf,
  normalDistribution,
} from '../support/statistics.js';
import { testSeed } from '../tooling/property.js';

const N = 2 ** 18;
const SCORE = 5.5;
const KS = 2.9;

const root = key(testSeed());
const normals = (k: Key, n = N) => Float64Array.from(hostNormal(k, n));
const sample = normals(root);

const pairsOf = (n: number): readonly (readonly [number, number])[] =>
  Array.from({ length: n }, (_, i) => Array.from({ length: i }, (_, j) => [j, i] as const)).flat();

/** The score of a mean whose expectation and standard deviation (of one draw) are known. */
const score = (mean: number, expected: number, deviation: number, n = N) =>
  ((mean - expected) / deviation) * Math.sqrt(n);

describe('normal numbers, n = 2¹⁸', () => {
  const moments = (xs: Float64Array) => ({
    mean: score(meanOf(xs), 0, 1),
    variance: score(
      momentOf(xs, (x) => x * x),
      1,
      Math.sqrt(2),
    ),
    skewness: score(
      momentOf(xs, (x) => x ** 3),
      0,
      Math.sqrt(15),
    ),
    kurtosis: score(
      momentOf(xs, (x) => x ** 4),
      3,
      Math.sqrt(96),
    ),
  });

  test('four moments (m = 4: p < 2e-7)', () => {
    for (const value of Object.values(moments(sample))) expect(Math.abs(value)).toBeLessThan(SCORE);
  });

  test('planted: mean off by 0.02, variance off by 4 %, a skew, uniform numbers', () => {
    const planted = (f: (x: number) => number) => moments(sample.map(f));
    expect(Math.abs(planted((x) => x + 0.02).mean)).toBeGreaterThan(SCORE);
    expect(planted((x) => x * Math.sqrt(1.04)).variance).toBeGreaterThan(SCORE);
    expect(planted((x) => x + 0.02 * (x * x - 1)).skewness).toBeGreaterThan(SCORE);
    const uniforms = hostUniform(root, N).map((u) => (u - 0.5) * Math.sqrt(12));
    expect(moments(uniforms).kurtosis).toBeLessThan(-SCORE);
  });

  test('variance to 2 %: n = 2²⁰, planted 2 % is found', () => {
    const n = 2 ** 20;
    const squares = momentOf(normals(foldIn(root, 1), n), (x) => x * x);
    const at = (variance: number) => score(variance, 1, Math.sqrt(2), n);
    expect(Math.abs(at(squares))).toBeLessThan(SCORE);
    expect(at(1.02 * squares)).toBeGreaterThan(SCORE);
    expect(at(squares / 1.02)).toBeLessThan(-SCORE);
  });

  test('Kolmogorov–Smirnov distance to Φ (bound 2.9/√n: p < 1e-7)', () => {
    expect(kolmogorovSmirnov(sample, normalDistribution)).toBeLessThan(KS);
    const shifted = sample.map((x) => x + 0.03);
    expect(kolmogorovSmirnov(shifted, normalDistribution)).toBeGreaterThan(KS);
    // Planted: a sum of three uniform numbers.
    const threeUniforms = hostUniform(root, 3 * 2 ** 16);
    const sums = Float64Array.from({ length: 2 ** 16 }, (_, i) =>
      [0, 1, 2].reduce((s, j) => s + 2 * ((threeUniforms[3 * i + j] as number) - 0.5), 0),
    );
    expect(kolmogorovSmirnov(sums, normalDistribution)).toBeGreaterThan(KS);
  });
});

describe('independence, n = 2¹⁸', () => {
  test('lags 1 to 8 of one stream (m = 16: p < 7e-7)', () => {
    const lags = (xs: Float64Array) =>
      [1, 2, 3, 4, 5, 6, 7, 8].map((lag) => correlationScore(xs.subarray(lag), xs));
    for (const s of lags(sample)) expect(Math.abs(s)).toBeLessThan(SCORE);
    for (const s of lags(sample.map((x) => x * x))) expect(Math.abs(s)).toBeLessThan(SCORE);
    // Planted: both words of a block are the first one.
    const doubled = sample.map((_, i) => sample[i - (i % 2)] as number);
    expect(Math.max(...lags(doubled))).toBeGreaterThan(SCORE);
    // Planted: a running mean of two, as a counter that overlaps would give.
    const blurred = sample.map((x, i) => x + 0.02 * (sample[i - 1] ?? 0));
    expect(Math.max(...lags(blurred))).toBeGreaterThan(SCORE);
  });

  test('streams of related keys: split, foldIn, neighbouring seeds (m = 10: p < 4e-7)', () => {
    const [left, right] = split(root) as [Key, Key];
    const keys = [root, left, right, foldIn(root, 0), key(testSeed() + 1)];
    const streams = keys.map((k) => normals(k));
    streams.forEach((a, i) => {
      streams.slice(i + 1).forEach((b) => {
        expect(Math.abs(correlationScore(a, b))).toBeLessThan(SCORE);
      });
    });
    // Planted: a reused key, and one that shares 2 % of its noise.
    expect(correlationScore(streams[0] as Float64Array, normals(root))).toBeGreaterThan(SCORE);
    const shared = (streams[1] as Float64Array).map((x, i) => x + 0.02 * (sample[i] as number));
    expect(correlationScore(shared, sample)).toBeGreaterThan(SCORE);
  });
});

describe('words and uniform numbers', () => {
  test('every bit of the words is fair (n = 2¹⁷, m = 32, |score| < 6: p < 7e-8)', () => {
    const n = 2 ** 17;
    const bits = hostBits(root, n);
    const scores = (ws: Uint32Array) =>
      [...Array(32).keys()].map((b) =>
        score(
          momentOf(ws, (w) => (w >>> b) & 1),
          0.5,
          0.5,
          n,
        ),
      );
    for (const s of scores(bits)) expect(Math.abs(s)).toBeLessThan(6);
    // Planted: a bit that is the or of two has mean 3/4.
    const stuck = bits.map((w) => w | ((w << 1) & 0x10));
    expect(scores(stuck)[4]).toBeGreaterThan(6);
  });

  test('uniform: multiples of 2⁻²⁴ in [0, 1), Kolmogorov–Smirnov (n = 2¹⁸, p < 1e-7)', () => {
    const u = hostUniform(root, N);
    expect(u.every((x) => x >= 0 && x < 1 && Number.isInteger(x * 2 ** 24))).toBe(true);
    const identity = (x: number) => x;
    expect(kolmogorovSmirnov(u, identity)).toBeLessThan(KS);
    expect(
      kolmogorovSmirnov(
        u.map((x) => x ** 1.03),
        identity,
      ),
    ).toBeGreaterThan(KS);
  });

  test('permutations of three: all six orders equally often (n = 12,000, χ²₅ < 45: p < 2e-8)', () => {
    const counts = (permute: (k: Key) => Int32Array) => {
      const seen = new Map<string, number>();
      for (let i = 0; i < 12_000; i++) {
        const order = permute(foldIn(root, i)).join();
        seen.set(order, (seen.get(order) ?? 0) + 1);
      }
      return [...seen.values()];
    };
    const fair = counts((k) => hostPermutation(k, 3));
    expect(fair).toHaveLength(6);
    expect(chiSquareUniform(fair)).toBeLessThan(45);
    // Planted: the naive shuffle that swaps each place with any place.
    const naive = counts((k) => {
      const order = Int32Array.of(0, 1, 2);
      hostUniform(k, 3).forEach((u, i) => {
        const j = Math.floor(3 * u);
        [order[i], order[j]] = [order[j] as number, order[i] as number];
      });
      return order;
    });
    expect(chiSquareUniform(naive)).toBeGreaterThan(45);
  });
});

describe('the law of the normal table, without sampling', () => {
  /**
   * Distribution function of the sum of eight independent entries, from its characteristic function φ:
   * F(z) = ½ + ∫ sin(tz) φ(t) / (πt) dt over t > 0 (Gil-Pelaez, 1951). Beyond 40 |φ| is below 10⁻¹⁵ until
   * the entries' grain shows, and the rule's error on smooth functions is far below what is tested.
   */
  const sumDistribution = (table: ArrayLike<number>) => {
    const step = 0.02;
    const points = Array.from({ length: 2000 }, (_, i) => {
      const t = step * (i + 0.5);
      const mean = Array.from(table).reduce((sum, x) => sum + Math.cos(t * x), 0) / table.length;
      return [t, mean ** 8] as const;
    });
    return (z: number): number =>
      0.5 + points.reduce((sum, [t, phi]) => sum + (Math.sin(t * z) * phi * step) / t, 0) / Math.PI;
  };
  const grid = Array.from({ length: 241 }, (_, i) => -6 + 0.05 * i + 0.0123);
  const distance = (table: ArrayLike<number>) => {
    const found = sumDistribution(table);
    return Math.max(...grid.map((z) => Math.abs(found(z) - normalDistribution(z))));
  };
  const plain = Float64Array.from(
    { length: NORMAL_TABLE_SIZE },
    (_, i) => normalQuantile((i + 0.5) / NORMAL_TABLE_SIZE) / Math.sqrt(8),
  );

  test('the distribution function of a number is within 6·10⁻⁷ of Φ on a grid', () => {
    expect(distance(normalTable)).toBeLessThan(6e-7);
    // Planted: the table 0.01 % too wide; quantiles without the correction of their moments.
    expect(distance(Float64Array.from(normalTable, (t) => t * 1.0001))).toBeGreaterThan(3e-6);
    expect(distance(plain)).toBeGreaterThan(1e-4);
  });

  test('the entries have the moments of N(0, 1/8) up to the ninth, to 2·10⁻⁶', () => {
    const normal = [1, 3, 15, 105];
    const relative = (table: ArrayLike<number>) =>
      normal.map((m, i) => momentOf(table, (t) => (8 * t * t) ** (i + 1)) / m - 1);
    for (const error of relative(normalTable)) expect(Math.abs(error)).toBeLessThan(2e-6);
    for (const power of [1, 3, 5, 7, 9]) expect(momentOf(normalTable, (t) => t ** power)).toBe(0);
    // Planted: the same without the correction.
    expect(Math.max(...relative(plain).map(Math.abs))).toBeGreaterThan(0.1);
  });

  test('numbers of one block are independent up to squares (m = 56, |score| < 6: p < 2e-7)', () => {
    const blocks = N / NORMALS_PER_BLOCK;
    const ofBlock = (xs: ArrayLike<number>, i: number, j: number, f: (z: number) => number) =>
      meanOf(
        Float64Array.from(
          { length: blocks },
          (_, b) =>
            f(xs[NORMALS_PER_BLOCK * b + i] as number) * f(xs[NORMALS_PER_BLOCK * b + j] as number),
        ),
      );
    const scores = (xs: ArrayLike<number>) =>
      pairsOf(NORMALS_PER_BLOCK).flatMap(([i, j]) => [
        score(
          ofBlock(xs, i, j, (z) => z),
          0,
          1,
          blocks,
        ),
        score(
          ofBlock(xs, i, j, (z) => z * z - 1),
          0,
          2,
          blocks,
        ),
      ]);
    for (const s of scores(sample)) expect(Math.abs(s)).toBeLessThan(6);
    // Planted: one number of each block has some of its neighbour in it.
    const wrong = sample.map((z, i) =>
      i % NORMALS_PER_BLOCK === 3 ? (z + 0.3 * (sample[i - 1] as number)) / Math.hypot(1, 0.3) : z,
    );
    expect(Math.max(...scores(wrong).map(Math.abs))).toBeGreaterThan(6);
  });

  test('symmetric, ascending, multiples of 2⁻²⁰, largest number about 8.9', () => {
    const n = normalTable.length;
    expect(n).toBe(NORMAL_TABLE_SIZE);
    normalTable.forEach((t, i) => {
      expect(t).toBe(-(normalTable[n - 1 - i] as number));
      expect(Number.isInteger(t * 2 ** 20)).toBe(true);
      if (i > 0) expect(t).toBeGreaterThan(normalTable[i - 1] as number);
    });
    expect(8 * (normalTable[n - 1] as number)).toBeCloseTo(8.94, 2);
  });

  test('quantiles invert Φ', () => {
    for (const p of [1e-6, 1e-4, 0.01, 0.3, 0.5, 0.7, 0.9, 1 - 1e-5]) {
      expect(Math.abs(normalDistribution(normalQuantile(p)) - p)).toBeLessThan(1e-15);
    }
  });
});
