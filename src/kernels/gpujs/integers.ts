/** Integers are held as float32, which is exact within ±2²⁴; larger ones are refused, never rounded. */
import { type Equation, FlatloraError, type Tape } from '../../autodiff/index.js';
import { MOVES } from '../plan/fuse.js';
import { scalarConstant } from '../plan/lower.js';

export const LARGEST_INTEGER = 2 ** 24;

/** @throws FlatloraError at the first integer that is too large. */
export function requireSmall(name: string, data: ArrayLike<number>): void {
  for (let i = 0; i < data.length; i++) {
    if (Math.abs(data[i] as number) > LARGEST_INTEGER) {
      throw new FlatloraError(
        'argument',
        `${name}: integer ${data[i]} at position ${i} is beyond ±2^24, which float32 kernels cannot hold`,
      );
    }
  }
}

/** The same for numbers in the program's text. Keys are derived from any 32-bit number. */
export function requireSmallScalars(name: string, tape: Tape): void {
  const scalars = new Map<number, number>();
  const learn = ({ primitive, inputs, outputs }: Equation, value: number | undefined) => {
    const known = MOVES.has(primitive.name) ? scalars.get(inputs[0]?.id ?? -1) : value;
    const [output] = outputs;
    if (known !== undefined && output?.dtype === 'int') scalars.set(output.id, known);
  };
  for (const equation of tape.equations) {
    learn(equation, scalarConstant(equation));
    const { primitive, inputs, params } = equation;
    if ('tape' in params) requireSmallScalars(name, params.tape);
    if (MOVES.has(primitive.name) || primitive.name === 'deriveKey') continue;
    requireSmall(
      name,
      inputs.flatMap((v) => scalars.get(v.id) ?? []),
    );
  }
}
