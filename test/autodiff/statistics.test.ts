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
  /** Distribution function at z of the sum of two independent entries, by counting all pairs. */
  const sumDistribution = (table: ArrayLike<number>, z: number): number => {
    let below = table.length;
    let pairs = 0;
    for (let i = 0; i < table.length; i++) {
      while (below > 0 && (table[below - 1] as number) > z - (table[i] as number)) below--;
      pairs += below;
    }
    return pairs / table.length ** 2;
  };
  const grid = Array.from({ length: 241 }, (_, i) => -6 + 0.05 * i + 0.0123);
  const distance = (table: ArrayLike<number>) =>
    Math.max(...grid.map((z) => Math.abs(sumDistribution(table, z) - normalDistribution(z))));

  test('its distribution function is within 3·10⁻⁶ of Φ on a grid', () => {
    const found = distance(normalTable);
    expect(found).toBeLessThan(3e-6);
    // Planted: the table 0.01 % too wide.
    expect(distance(Float64Array.from(normalTable, (t) => t * 1.0001))).toBeGreaterThan(3e-6);
  });

  test('the two numbers of a word are uncorrelated, and so are their squares to 10⁻³', () => {
    // E[(a + b)(a − b)] is 0 by symmetry; E[(a + b)²(a − b)²] − 1 = 2 E[a⁴] − 2 E[a²]² − 1.
    const dependence = (table: ArrayLike<number>) => {
      const [second, fourth] = [2, 4].map((p) => momentOf(table, (t) => t ** p)) as [
        number,
        number,
      ];
      return 2 * fourth - 2 * second ** 2 - 1;
    };
    expect(Math.abs(dependence(normalTable))).toBeLessThan(1e-3);
    // Planted: numbers uniform with the same variance.
    const width = Math.sqrt(6) / normalTable.length;
    const even = Float64Array.from(
      normalTable,
      (_, i) => (i - normalTable.length / 2 + 0.5) * width,
    );
    expect(Math.abs(dependence(even))).toBeGreaterThan(0.1);
  });

  test('neighbours, the two numbers of one word among them, are uncorrelated up to squares', () => {
    const pairs = N / 2;
    const product = (f: (z: number) => number) =>
      meanOf(
        Float64Array.from(
          { length: pairs },
          (_, i) => f(sample[2 * i] as number) * f(sample[2 * i + 1] as number),
        ),
      );
    for (const [f, deviation] of [
      [(z: number) => z, 1],
      [(z: number) => z * z - 1, 2],
    ] as const) {
      expect(Math.abs(score(product(f), 0, deviation, pairs))).toBeLessThan(SCORE);
    }
  });

  test('symmetric, ascending, variance one, largest number about 6.1', () => {
    const n = normalTable.length;
    expect(n).toBe(65536);
    normalTable.forEach((t, i) => {
      if (t !== -(normalTable[n - 1 - i] as number)) throw new Error(`asymmetric at ${i}`);
      if (i > 0 && !(t > (normalTable[i - 1] as number))) throw new Error(`not ascending at ${i}`);
    });
    expect(2 * momentOf(normalTable, (t) => t * t)).toBeCloseTo(1, 8);
    expect(2 * (normalTable[n - 1] as number)).toBeCloseTo(6.1, 1);
    expect(momentOf(normalTable, (t) => t)).toBe(0);
  });

  test('quantiles invert Φ', () => {
    for (const p of [1e-6, 1e-4, 0.01, 0.3, 0.5, 0.7, 0.9, 1 - 1e-5]) {
      expect(Math.abs(normalDistribution(normalQuantile(p)) - p)).toBeLessThan(1e-15);
    }
  });
});
