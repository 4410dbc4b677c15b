/** Elementwise primitives as WGSL; comparison, choice and conversion are printed by `values.ts`. */
import type { ValueType } from './types.js';
import type { WgslFunction, Writer } from './writer.js';

type Source = (operands: readonly string[], writer: Writer, type: ValueType) => string;

const infix =
  (operator: string): Source =>
  ([x, y]) =>
    `(${x} ${operator} ${y})`;

/** A function of `functions.ts` for floats, WGSL's own for integers. */
const called =
  (name: WgslFunction, ofIntegers?: string): Source =>
  (operands, { call }, type) =>
    `${type === 'f32' || ofIntegers === undefined ? call(name) : ofIntegers}(${operands.join(', ')})`;

const own =
  (name: string): Source =>
  (operands) =>
    `${name}(${operands.join(', ')})`;

/** Small whole exponents are products, which are quicker and exact to an ulp. */
const powers: Readonly<Record<string, (x: string) => string>> = {
  '2.0': (x) => `(${x} * ${x})`,
  '3.0': (x) => `(${x} * ${x} * ${x})`,
  '4.0': (x) => `((${x} * ${x}) * (${x} * ${x}))`,
  '-1.0': (x) => `(1.0 / ${x})`,
  '-2.0': (x) => `(1.0 / (${x} * ${x}))`,
};

export const arithmetic: Readonly<Record<string, Source>> = {
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  neg: ([x]) => `(-${x})`,
  abs: own('abs'),
  sign: called('signOf', 'sign'),
  floor: ([x], _, type) => (type === 'f32' ? `floor(${x})` : (x as string)),
  exp: called('exponential'),
  log: called('logarithm'),
  sin: called('sine'),
  cos: called('cosine'),
  tanh: called('hyperbolicTangent'),
  erf: called('errorFunction'),
  sqrt: own('sqrt'),
  pow: ([x, y], writer) => {
    const product = powers[y as string];
    return product === undefined
      ? `${writer.call('power')}(${x}, ${y})`
      : product(writer.local(x as string));
  },
  max: called('greater', 'max'),
  min: called('lesser', 'min'),
  stopGradient: ([x]) => x as string,
};
