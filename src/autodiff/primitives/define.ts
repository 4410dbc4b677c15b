/**
 * Elementwise primitives. The Jacobian of an elementwise function is diagonal, hence its own
 * transpose: one function `t ↦ ∂f/∂xᵢ · t` per operand serves as both vjp and jvp.
 *
 * The primitives take operands of one shape; the functions that users call broadcast first, as
 * NumPy does.
 */
import * as E from 'fp-ts/lib/Either.js';
import {
  type Aval,
  aval,
  broadcastShapes,
  type DType,
  sameShape,
  showAval,
  showShape,
} from '../core/aval.js';
import { FlatloraError, fail, type Result } from '../core/errors.js';
import { bind, type MaybeValue, type Primitive, type Value } from '../core/value.js';
import { add } from './arithmetic.js';
import { lift, type Operand } from './source.js';
import { broadcastTo } from './structural.js';

// Function declarations, because other modules call them while they load.

type Slope = ((t: Value) => Value) | undefined;

interface Elementwise {
  readonly name: string;
  readonly doc: string;
  /** The dtype of the result, or `undefined` where the operands' dtypes do not fit. */
  readonly dtype: (...operands: readonly DType[]) => DType | undefined;
  readonly scalar: (...xs: readonly number[]) => number;
  /** For each operand, `t ↦ ∂f/∂xᵢ · t`; `undefined` where the derivative is zero. */
  readonly slopes: (inputs: readonly Value[], output: Value) => readonly Slope[];
}

const withParams = (params: unknown): string =>
  ` with ${Object.entries(params as object)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}`;

/** Brings unbatched operands to the batch's size, so that all shapes agree again. */
const batchAll = (inputs: readonly Value[], batched: readonly boolean[], size: number) =>
  inputs.map((x, i) => (batched[i] ? x : broadcastTo(x, [size, ...x.shape])));

export function elementwise<P = Record<string, never>>(
  definition: Elementwise,
  /** The dtype of the result where it is the parameters' to say; `undefined` where it cannot be. */
  resultType?: (params: P, operand: DType) => DType | undefined,
): Primitive<P> {
  const { name, doc, dtype, scalar, slopes } = definition;
  const self: Primitive<P> = {
    name,
    doc,
    scalar,
    shape: (inputs: readonly Aval[], params): Result<readonly Aval[]> => {
      const [first, ...rest] = inputs;
      if (first === undefined) return fail('argument', `${name}: no operands`);
      const odd = rest.find((x) => !sameShape(x.shape, first.shape));
      if (odd !== undefined) {
        return fail(
          'shape',
          `${name}: shapes differ: ${showShape(first.shape)} and ${showShape(odd.shape)}`,
        );
      }
      const own = dtype(...inputs.map((x) => x.dtype));
      const result = own && resultType ? resultType(params, own) : own;
      return result === undefined
        ? fail(
            'dtype',
            `${name}: cannot be applied to ${inputs.map(showAval).join(', ')}${own ? withParams(params) : ''}`,
          )
        : E.right([aval(first.shape, result)]);
    },
    vjp: ({ inputs, outputs, cotangents }) =>
      slopes(inputs, outputs[0] as Value).map((slope) => slope?.(cotangents[0] as Value)),
    jvp: ({ inputs, outputs, tangents }) => [
      slopes(inputs, outputs[0] as Value)
        .map((slope, i): MaybeValue => {
          const tangent = tangents[i];
          return tangent && slope?.(tangent);
        })
        .reduce((sum, term) => (sum && term ? add(sum, term) : (sum ?? term)), undefined),
    ],
    batch: ({ inputs, batched, params, size }) => [
      bind(self, batchAll(inputs, batched, size), params),
    ],
  };
  return self;
}

// ---------------------------------------------------------------- dtype rules
export function floatOnly(...operands: readonly DType[]): DType | undefined {
  return operands.every((d) => d === 'float') ? 'float' : undefined;
}
export function numeric(...operands: readonly DType[]): DType | undefined {
  return operands.every((d) => d === operands[0] && (d === 'float' || d === 'int'))
    ? operands[0]
    : undefined;
}
export function comparison(...operands: readonly DType[]): DType | undefined {
  return numeric(...operands) === undefined ? undefined : 'bool';
}

// ---------------------------------------------------------------- what users call

/** Operands lifted to values of one dtype and broadcast to one shape. */
export function align(name: string, operands: readonly Operand[]): readonly Value[] {
  const dtype = operands
    .filter((x) => typeof x !== 'number')
    .map((x) => lift(x).dtype)
    .find((d) => d === 'int' || d === 'float');
  const values = operands.map((x) => lift(x, dtype));
  const shape = values.reduce<readonly number[]>((joint, x) => {
    const next = broadcastShapes(joint, x.shape);
    if (next === undefined) {
      const shapes = values.map((v) => showShape(v.shape)).join(' and ');
      throw new FlatloraError('shape', `${name}: shapes do not broadcast: ${shapes}`);
    }
    return next;
  }, []);
  return values.map((x) => broadcastTo(x, shape));
}

type Plain = Primitive<Record<string, never>>;

/** The user's function of a primitive of one operand. */
export function one(primitive: Plain): (x: Operand) => Value {
  return (x) => bind(primitive, [lift(x)], {});
}

/** The user's function of a primitive of two operands, which are broadcast to one shape. */
export function two(primitive: Plain): (x: Operand, y: Operand) => Value {
  return (x, y) => bind(primitive, align(primitive.name, [x, y]), {});
}
