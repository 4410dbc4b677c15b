/**
 * Programs with half precision as programs on floats. gpu.js has float32 arrays alone, so an array in
 * half precision is a float32 array here whose numbers are rounded already: reading it as float is
 * nothing to do, and writing it is a rounding.
 */
import {
  apply,
  constant,
  dtypeOfHost,
  type Equation,
  input,
  isHalf,
  linearise,
  lookUp,
  roundTo,
  type Tape,
  toFloat,
  type Value,
} from '../../autodiff/index.js';

const hasHalf = ({ inputs, equations }: Tape): boolean =>
  inputs.some((v) => isHalf(v.dtype)) ||
  equations.some(
    ({ params, outputs }) =>
      outputs.some((v) => isHalf(v.dtype)) || ('tape' in params && hasHalf(params.tape)),
  );

/** The equation on floats. */
function rewritten(
  { primitive, inputs, params }: Equation,
  operands: readonly Value[],
): readonly Value[] {
  if (primitive.name === 'constant' && isHalf(dtypeOfHost(params.value))) {
    return [constant(toFloat(params.value))];
  }
  const from = inputs[0]?.dtype;
  if (primitive.name === 'convert' && from !== undefined) {
    if (isHalf(from)) return operands;
    if (isHalf(params.dtype)) return [roundTo(operands[0] as Value, params.dtype)];
  }
  const held = 'tape' in params ? { ...params, tape: withoutHalf(params.tape) } : params;
  return apply(primitive, operands, held);
}

/** The tape with floats wherever it has half precision, inputs and outputs included. */
export function withoutHalf(tape: Tape): Tape {
  if (!hasHalf(tape)) return tape;
  const inputs = tape.inputs.map((v) => input(isHalf(v.dtype) ? { ...v, dtype: 'float' } : v));
  const values = new Map(tape.inputs.map((v, i) => [v.id, inputs[i] as Value]));
  for (const equation of tape.equations) {
    const operands = equation.inputs.map((v) => lookUp(values, v));
    rewritten(equation, operands).forEach((result, i) => {
      const output = equation.outputs[i];
      if (output !== undefined) values.set(output.id, result);
    });
  }
  return linearise(
    inputs,
    tape.outputs.map((v) => lookUp(values, v)),
  ).tape;
}
