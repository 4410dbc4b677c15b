/**
 * Elementwise primitives as gpu.js source. Where a mode's own functions are slow (WebAssembly calls
 * JavaScript once per lane) or inaccurate (the shading languages' sine) a polynomial stands here,
 * accurate to a few float32 ulps.
 *
 * Shading languages promise nothing about NaN: WGSL's max(NaN, 1) is 1, its log(−2) is ln 2. So on
 * GPUs every comparison is written such that NaN takes the branch that hands it on.
 */

/** gpu.js's own names of its modes. */
export type GpuJsMode = 'cpu' | 'webasm' | 'webgpu' | 'webgl2';

/** Where statements go, and where fresh names come from. */
export interface Scope {
  /** Emits `const name = expression;` and returns the name. */
  readonly local: (expression: string) => string;
  readonly mode: GpuJsMode;
  /** ∞ and NaN, which shading languages have no literals for. */
  readonly infinity: () => string;
  readonly nan: () => string;
}

/** Modes whose kernels run as shaders. */
export const isShader = (mode: GpuJsMode): boolean => mode === 'webgpu' || mode === 'webgl2';

/** A number as source; out of float32's range it is infinite in all modes but `cpu`. */
export function numberSource(value: number, { mode, infinity, nan }: Scope): string {
  const rounded = mode === 'cpu' || Math.abs(value) < 2 ** 127 ? value : Math.fround(value);
  if (Number.isNaN(rounded)) return nan();
  if (Number.isFinite(rounded)) {
    return literal(mode !== 'cpu' && Math.abs(rounded) < 2 ** -126 ? 0 : rounded);
  }
  return rounded > 0 ? infinity() : `(0.0 - ${infinity()})`;
}

/** A float literal. gpu.js takes `2` for an integer and `2.0` for a float. */
export function literal(value: number): string {
  const text = Number.isInteger(value) && Math.abs(value) < 1e15 ? `${value}.0` : String(value);
  return value < 0 || Object.is(value, -0) ? `(${text})` : text;
}

const polynomial = (x: string, coefficients: readonly number[]): string =>
  coefficients.map(literal).reduceRight((inner, c) => `(${c} + ${x} * ${inner})`);

/** `x` within bounds; NaN stays NaN. */
export const clamped = (x: string, low: number, high: number, { mode }: Scope): string =>
  isShader(mode)
    ? `(${x} < ${literal(low)} ? ${literal(low)} : (${x} > ${literal(high)} ? ${literal(high)} : ${x}))`
    : `Math.max(${literal(low)}, Math.min(${literal(high)}, ${x}))`;

/** The greater (or lesser) of two; NaN where one is NaN. */
const extreme =
  (name: 'max' | 'min'): Source =>
  ([givenX, givenY], { local, mode }) => {
    if (!isShader(mode)) return `Math.${name}(${givenX}, ${givenY})`;
    const [x, y] = [local(givenX as string), local(givenY as string)];
    const [first, second] = name === 'max' ? ['>=', '<'] : ['<=', '>'];
    return `(${x} ${first} ${y} ? ${x} : (${x} ${second} ${y} ? ${y} : ${x} + ${y}))`;
  };

/** eˣ: 2ⁿ·e^r with |r| ≤ ½·ln 2, the power of two put together from the bits of n. */
function expSource(x: string, scope: Scope): string {
  const { local, mode } = scope;
  if (mode === 'cpu') return `Math.exp(${x})`;
  if (isShader(mode)) return `(Math.abs(${x}) >= 0.0 ? Math.exp(${x}) : ${x})`;
  const limited = local(clamped(x, -87.3, 88.8, scope));
  const n = local(`Math.floor(${limited} * 1.4426950408889634 + 0.5)`);
  const r = local(`(${limited} - ${n} * 0.693359375) + ${n} * 0.00021219444005`);
  const p = local(
    polynomial(r, [1, 1, 0.5, 0.1666666716, 0.0416664853, 0.0083369208, 0.0013933652]),
  );
  // n + 126 lies in 0 … 254; start from 2^−126 and double by its bits.
  let rest = local(`${n} + 126.0`);
  let power = `${2 ** -126}`;
  for (const bit of [128, 64, 32, 16, 8, 4, 2, 1]) {
    const factor = bit === 128 ? `${literal(2 ** 64)} * ${literal(2 ** 64)}` : literal(2 ** bit);
    power = local(`${rest} >= ${literal(bit)} ? ${power} * ${factor} : ${power}`);
    rest = local(`${rest} >= ${literal(bit)} ? ${rest} - ${literal(bit)} : ${rest}`);
  }
  return `(${x} < -87.3 ? 0.0 : ${x} > 88.72 ? ${scope.infinity()} : ${p} * ${power})`;
}

/** tanh x by e^(2x), and by its series where that would cancel. */
function tanhSource(given: string, scope: Scope): string {
  if (scope.mode === 'cpu') return `Math.tanh(${given})`;
  const { local } = scope;
  const x = local(given);
  const limited = local(clamped(x, -15, 15, scope));
  const e = local(expSource(local(`2.0 * ${limited}`), scope));
  const square = local(`${x} * ${x}`);
  const series = polynomial(square, [1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835]);
  return `(${square} < 0.1 ? ${x} * ${series} : (${e} - 1.0) / (${e} + 1.0))`;
}

/** erf x: Abramowitz & Stegun 7.1.26 (error 1.5e-7), and its series for small x. */
function erfSource(given: string, scope: Scope): string {
  const { local } = scope;
  const x = local(given);
  const a = local(clamped(local(`Math.abs(${x})`), 0, 6, scope));
  const square = local(`${a} * ${a}`);
  const t = local(`1.0 / (1.0 + 0.3275911 * ${a})`);
  const tail = polynomial(
    t,
    [0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429],
  );
  const gauss = local(expSource(local(`0.0 - ${square}`), scope));
  const far = local(`1.0 - ${tail} * ${gauss}`);
  const series = polynomial(square, [1, -1 / 3, 1 / 10, -1 / 42, 1 / 216, -1 / 1320]);
  return `(${square} < 0.36 ? ${literal(2 / Math.sqrt(Math.PI))} * ${x} * ${series} : (${x} < 0.0 ? 0.0 - ${far} : ${far}))`;
}

/** ln x; NaN below 0, where WGSL takes the logarithm of |x|. */
function logSource(given: string, { local, mode }: Scope): string {
  if (!isShader(mode)) return `Math.log(${given})`;
  const x = local(given);
  return `(${x} >= 0.0 ? Math.log(${x}) : Math.sqrt(${x} - 1.0))`;
}

/**
 * sin(x + quarter·π/2), reduced to |r| ≤ π/4 with π/2 in three parts (Cody & Waite), which is exact
 * enough up to |x| = 10⁵; NaN beyond, rather than a wrong number.
 */
function sineSource(given: string, quarter: 0 | 1, scope: Scope): string {
  if (scope.mode === 'cpu') return quarter === 0 ? `Math.sin(${given})` : `Math.cos(${given})`;
  const { local } = scope;
  const x = local(given);
  const n = local(`Math.floor(${x} * ${literal(2 / Math.PI)} + 0.5)`);
  const r = local(
    `((${x} - ${n} * 1.5703125) - ${n} * 0.0004837512969970703) - ${n} * 7.549789948768648e-8`,
  );
  const square = local(`${r} * ${r}`);
  const sine = local(`${r} * ${polynomial(square, [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880])}`);
  const cosine = local(polynomial(square, [1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320]));
  const turn = local(`${n} + ${quarter}.0`);
  const quadrant = local(`${turn} - 4.0 * Math.floor(${turn} * 0.25)`);
  const turned = `(${quadrant} < 0.5 ? ${sine} : ${quadrant} < 1.5 ? ${cosine} : ${quadrant} < 2.5 ? 0.0 - ${sine} : 0.0 - ${cosine})`;
  return `(Math.abs(${x}) <= 100000.0 ? ${turned} : ${scope.nan()})`;
}

/** x^y; a negative base with a whole exponent keeps its sign, with another gives NaN. */
function powSource(givenX: string, givenY: string, { local, mode, nan }: Scope): string {
  if (mode === 'cpu') return `Math.pow(${givenX}, ${givenY})`;
  const [x, y] = [local(givenX), local(givenY)];
  const size = local(`Math.pow(Math.abs(${x}), ${y})`);
  const odd = `Math.abs(${y} - 2.0 * Math.floor(${y} * 0.5)) > 0.5`;
  const whole = `Math.floor(${y}) === ${y}`;
  // (−∞)^y is defined for every y; an infinite y counts as even.
  const negative = `(${whole} ? (${odd} ? 0.0 - ${size} : ${size}) : (${x} < -3.4e38 ? ${size} : ${nan()}))`;
  const result = `(${x} < 0.0 ? ${negative} : ${size})`;
  if (!isShader(mode)) return result;
  // x⁰ is 1 even for NaN; otherwise what is no number gives none.
  return `(${y} === 0.0 ? 1.0 : (Math.abs(${x}) >= 0.0 && Math.abs(${y}) >= 0.0 ? ${result} : ${nan()}))`;
}

type Source = (operands: readonly string[], scope: Scope) => string;

const infix =
  (operator: string): Source =>
  ([x, y]) =>
    `(${x} ${operator} ${y})`;

/** Elementwise primitives with float or int results; comparisons and bits are printed elsewhere. */
export const arithmetic: Readonly<Record<string, Source>> = {
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  neg: ([x]) => `(0.0 - ${x})`,
  abs: ([x]) => `Math.abs(${x})`,
  sign: ([x], { local }) => {
    const v = local(x as string);
    return `(${v} > 0.0 ? 1.0 : (${v} < 0.0 ? -1.0 : ${v}))`;
  },
  floor: ([x]) => `Math.floor(${x})`,
  exp: ([x], scope) => expSource(scope.local(x as string), scope),
  log: ([x], scope) => logSource(x as string, scope),
  sin: ([x], scope) => sineSource(x as string, 0, scope),
  cos: ([x], scope) => sineSource(x as string, 1, scope),
  tanh: ([x], scope) => tanhSource(x as string, scope),
  erf: ([x], scope) => erfSource(x as string, scope),
  sqrt: ([x]) => `Math.sqrt(${x})`,
  pow: ([x, y], scope) => powSource(x as string, y as string, scope),
  max: extreme('max'),
  min: extreme('min'),
  stopGradient: ([x]) => x as string,
};
