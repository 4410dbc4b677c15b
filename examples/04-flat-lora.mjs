/**
 * LoRA and Flat-LoRA from the same start on the same batches, and how far the loss rises around the two
 * merged solutions. Flat-LoRA is LoRA's loss put through one more function.
 */

import { floats, hostNormal, key, mean, orThrow, square, sub, tanh } from 'flatlora/autodiff';
import { adapt, flat, lora, meanLossRise } from 'flatlora/flatlora';
import { programRunner, wasmBackend } from 'flatlora/kernels';
import { initLinear, linear } from 'flatlora/models';
import { adamW, cosineSchedule } from 'flatlora/optimisers';
import { train } from 'flatlora/training';
import { pipe } from 'fp-ts/lib/function.js';

const base = { first: initLinear(key(0), 8, 32), second: initLinear(key(1), 32, 1) };
const model = (w, x) => linear(w.second, tanh(linear(w.first, x)));
const taskLoss = (w, { x, y }) => mean(square(sub(model(w, x), y)));
const x = floats(hostNormal(key(2), 32 * 8), [32, 8]);
const y = floats(
  Array.from({ length: 32 }, (_, i) => Math.sin(3 * x.get(i, 0)) * x.get(i, 1)),
  [32, 1],
);

const method = lora({ rank: 4, alpha: 8, targetModules: ['first'] });
const { adapters } = orThrow(method.init(base, key(3)));
const backend = await wasmBackend({ threads: 1 });
const trained = async (loss) => {
  const { state } = await train(
    {
      loss,
      optimiser: adamW({ learningRate: cosineSchedule(5e-3, { totalSteps: 1500 }) }),
      params: adapters,
      totalSteps: 1500,
      batch: () => ({ x, y }),
      runKey: key(4),
    },
    backend,
  );
  return orThrow(method.merge(base, state.params));
};

const solutions = {
  LoRA: await trained(pipe(taskLoss, adapt(base, method))),
  'Flat-LoRA': await trained(pipe(taskLoss, adapt(base, method), flat({ sigma: 0.3 }))),
};
for (const [name, weights] of Object.entries(solutions)) {
  const { loss, rise } = await meanLossRise(programRunner(backend), taskLoss, weights, [{ x, y }], {
    sigma: 0.3,
    samples: 200,
    key: key(5),
    targetModules: ['first'],
  });
  console.log(
    `${name.padEnd(10)} loss ${loss.toFixed(4)}, mean rise under noise ${rise.toFixed(4)}`,
  );
}
await backend.dispose();
