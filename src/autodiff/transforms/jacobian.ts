/** Whole Jacobians and Hessians of functions of one array, for small sizes and for tests. */
import { sizeOf } from '../core/aval.js';
import { floats } from '../core/host.js';
import type { Value } from '../core/value.js';
import { constant, lift, type Operand } from '../primitives/source.js';
import { reshape } from '../primitives/structural.js';
import { jvp } from './jvp.js';
import { grad, vjp } from './vjp.js';
import { vmap } from './vmap.js';

/** The unit vectors of an array's space, stacked: [size, …shape]. */
function basis({ shape }: Value): Value {
  const size = sizeOf(shape);
  const identity = new Float64Array(size * size);
  for (let i = 0; i < size; i++) identity[i * (size + 1)] = 1;
  return constant(floats(identity, [size, ...shape]));
}

/** ∂f/∂x by reverse mode, one pullback per output element: [out…, in…]. */
export const jacobian =
  (f: (x: Value) => Value) =>
  (at: Operand): Value => {
    const x = lift(at);
    const { outputs, pullback } = vjp(f, x);
    const rows = vmap((g: Value) => pullback(g)[0])(basis(outputs));
    return reshape(rows, [...outputs.shape, ...x.shape]);
  };

/** ∂²f/∂x² of a scalar function, forward over reverse: [in…, in…]. */
export const hessian =
  (f: (x: Value) => Value) =>
  (at: Operand): Value => {
    const x = lift(at);
    const columns = vmap((v: Value) => jvp(grad(f), [x], [v]).tangents)(basis(x));
    return reshape(columns, [...x.shape, ...x.shape]);
  };
