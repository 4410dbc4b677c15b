/**
 * Functions of arrays, and functions made of them: gradients, directional derivatives, batches. Nothing
 * runs until `evaluate`; what is passed around are tapes.
 */
import {
  floats,
  grad,
  jvp,
  printTape,
  reduceSum,
  simplify,
  sin,
  square,
  trace,
  vmap,
} from 'flatlora/autodiff';
import { evaluate, referenceBackend } from 'flatlora/kernels';

const f = (x) => reduceSum(square(sin(x)));
const x = floats([0.5, 1, 2]);

console.log('The tape of f, and that of its gradient:\n');
console.log(printTape(simplify(trace(f, x))));
console.log(printTape(simplify(trace(grad(f), x))));

const backend = referenceBackend();
const show = (array) => Array.from(array.data, (v) => v.toFixed(4)).join(' ');
console.log('gradient:              ', show(await evaluate(grad(f), backend, x)));
console.log(
  'the same by hand:      ',
  Array.from(x.data, (v) => Math.sin(2 * v).toFixed(4)).join(' '),
);

// The derivative along a direction: forwards, without a gradient.
const along = (point, direction) => jvp(f, [point], [direction]).tangents;
console.log('along (1, 0, 0):       ', show(await evaluate(along, backend, x, floats([1, 0, 0]))));

// The gradient of each row of a batch, by one program.
const rows = floats([0.5, 1, 2, 1, 1, 1], [2, 3]);
console.log('two gradients at once: ', show(await evaluate(vmap(grad(f)), backend, rows)));
