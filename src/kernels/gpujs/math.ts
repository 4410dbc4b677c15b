/**
 * Elementwise primitives as gpu.js source. Where a mode's own functions are slow (WebAssembly calls
 * JavaScript once per lane) or inaccurate (WGSL's sine, GLSL's exponential) a polynomial stands here,
 * accurate to a few float32 ulps.
 */

/** gpu.js's own names of its modes. */
export type GpuJsMode = 'cpu' | 'webasm' | 'webgpu' | 'webgl2';

/** Where statements go, and where fresh names come from. */
export interface Scope {
  /** Emits `const name = expression;` and returns the name. */
  readonly local: (expression: string) => string;
  readonly mode: GpuJsMode;
}

/** A float literal. gpu.js takes `2` for an integer and `2.0` for a float. */
export function literal(value: number): string {
  if (Number.isNaN(value)) return '(Infinity - Infinity)';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '(-Infinity)';
  const text = Number.isInteger(value) && Math.abs(value) < 1e15 ? `${value}.0` : String(value);
  return value < 0 || Object.is(value, -0) ? `(${text})` : text;
}

const polynomial = (x: string, coefficients: readonly number[]): string =>
  coefficients.map(literal).reduceRight((inner, c) => `(${c} + ${x} * ${inner})`);

/** eˣ: 2ⁿ·e^r with |r| ≤ ½·ln 2, the power of two put together from the bits of n. */
function expSource(x: string, { local, mode }: Scope): string {
  if (mode === 'cpu' || mode === 'webgpu') return `Math.exp(${x})`;
  const limited = local(`Math.max(-87.3, Math.min(88.8, ${x}))`);
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
  return `(${x} < -87.3 ? 0.0 : ${x} > 88.72 ? Infinity : ${p} * ${power})`;
}

/** tanh x by e^(2x), and by its series where that would cancel. */
function tanhSource(given: string, scope: Scope): string {
  if (scope.mode === 'cpu') return `Math.tanh(${given})`;
  const { local } = scope;
  const x = local(given);
  const limited = local(`Math.max(-15.0, Math.min(15.0, ${x}))`);
  const e = local(expSource(local(`2.0 * ${limited}`), scope));
  const square = local(`${x} * ${x}`);
  const series = polynomial(square, [1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835]);
  return `(${square} < 0.1 ? ${x} * ${series} : (${e} - 1.0) / (${e} + 1.0))`;
}

/** erf x: Abramowitz & Stegun 7.1.26 (error 1.5e-7), and its series for small x. */
function erfSource(given: string, scope: Scope): string {
  const { local } = scope;
  const x = local(given);
  const a = local(`Math.min(Math.abs(${x}), 6.0)`);
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

/** sin(x + quarter·π/2), reduced to |r| ≤ π/4 with π/2 in three parts (Cody & Waite). */
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
  return `(${quadrant} < 0.5 ? ${sine} : ${quadrant} < 1.5 ? ${cosine} : ${quadrant} < 2.5 ? 0.0 - ${sine} : 0.0 - ${cosine})`;
}

/** x^y; a negative base with a whole exponent keeps its sign, with another gives NaN. */
function powSource(givenX: string, givenY: string, { local, mode }: Scope): string {
  if (mode === 'cpu') return `Math.pow(${givenX}, ${givenY})`;
  const [x, y] = [local(givenX), local(givenY)];
  const size = local(`Math.pow(Math.abs(${x}), ${y})`);
  const odd = `Math.abs(${y} - 2.0 * Math.floor(${y} * 0.5)) > 0.5`;
  const whole = `Math.floor(${y}) === ${y}`;
  return `(${x} >= 0.0 ? ${size} : (${whole} ? (${odd} ? 0.0 - ${size} : ${size}) : Infinity - Infinity))`;
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
  log: ([x]) => `Math.log(${x})`,
  sin: ([x], scope) => sineSource(x as string, 0, scope),
  cos: ([x], scope) => sineSource(x as string, 1, scope),
  tanh: ([x], scope) => tanhSource(x as string, scope),
  erf: ([x], scope) => erfSource(x as string, scope),
  sqrt: ([x]) => `Math.sqrt(${x})`,
  pow: ([x, y], scope) => powSource(x as string, y as string, scope),
  max: ([x, y]) => `Math.max(${x}, ${y})`,
  min: ([x, y]) => `Math.min(${x}, ${y})`,
  stopGradient: ([x]) => x as string,
};
