/**
 * A loss transformer of one's own, beside `flat` and `sam`: noise on the inputs, and weights that shrink
 * towards the base. They compose, because each takes a loss and gives a loss.
 */

import {
  add,
  evaluationContext,
  floats,
  grad,
  key,
  mean,
  mul,
  normal,
  orThrow,
  reduceSum,
  square,
  sub,
  treeLeaves,
} from 'flatlora/autodiff';
import { adapt, flat, lora, sam } from 'flatlora/flatlora';
import { evaluate, referenceBackend } from 'flatlora/kernels';
import { initLinear, linear } from 'flatlora/models';
import { pipe } from 'fp-ts/lib/function.js';

/** Trains on x + σ z instead of x, in training alone. The key comes with the context. */
const noisyInputs = (sigma) => (loss) => (params, batch, context) =>
  loss(
    params,
    context.training
      ? { ...batch, x: add(batch.x, mul(sigma, normal(context.sampleKey, batch.x.shape))) }
      : batch,
    context,
  );

/** Adds λ times the squares of all trained numbers. */
const shrinking = (lambda) => (loss) => (params, batch, context) =>
  treeLeaves(params).reduce(
    (sum, p) => add(sum, mul(lambda, reduceSum(square(p)))),
    loss(params, batch, context),
  );

const base = { layer: initLinear(key(0), 3, 2) };
const taskLoss = (w, { x, y }) => mean(square(sub(linear(w.layer, x), y)));
const method = lora({ rank: 1, alpha: 1, targetModules: ['layer'] });
const { adapters } = orThrow(method.init(base, key(1)));
const batch = { x: floats([1, 2, 3, 4, 5, 6], [2, 3]), y: floats([0, 1, 1, 0], [2, 2]) };

const backend = referenceBackend();
const context = () => ({ ...evaluationContext(), training: true });
for (const [name, loss] of Object.entries({
  plain: pipe(taskLoss, adapt(base, method)),
  'with noise on x': pipe(taskLoss, adapt(base, method), noisyInputs(0.1)),
  'all together': pipe(
    taskLoss,
    adapt(base, method),
    noisyInputs(0.1),
    shrinking(0.01),
    flat({ sigma: 0.05 }),
    sam({ rho: 0.05 }),
  ),
})) {
  const program = (a, b) => ({
    loss: loss(a, b, context()),
    gradient: grad((p) => loss(p, b, context()))(a),
  });
  const { loss: value, gradient } = await evaluate(program, backend, adapters, batch);
  const size = Math.hypot(...treeLeaves(gradient).flatMap((g) => Array.from(g.data)));
  console.log(`${name.padEnd(16)} loss ${value.get().toFixed(5)}, gradient ${size.toFixed(5)}`);
}
