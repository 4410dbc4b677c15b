/**
 * LoRA on a vision transformer of our own, on digits that the library draws: what is trained, and that
 * merged weights say the same.
 */
import { argmax, convert, equal, key, orThrow } from 'flatlora/autodiff';
import { drawnDigits } from 'flatlora/data';
import { adapt, lora } from 'flatlora/flatlora';
import { wasmBackend } from 'flatlora/kernels';
import {
  initVisionTransformer,
  parameterCount,
  softmaxCrossEntropy,
  visionTransformer,
} from 'flatlora/models';
import { adamW, cosineSchedule } from 'flatlora/optimisers';
import { evaluator, shuffledBatches, takeRows, train } from 'flatlora/training';

const config = {
  imageSize: 16,
  patchSize: 4,
  classes: 10,
  width: 32,
  depth: 2,
  heads: 4,
  pooling: 'mean',
};
const model = visionTransformer(config);
const base = initVisionTransformer(config, key(0));
const { images, labels } = drawnDigits({ hand: 'upright', count: 200, key: key(1) });
const data = { images, labels };

// A loss is a function of weights and a batch; `adapt` makes it one of adapters.
const taskLoss = (weights, batch) =>
  softmaxCrossEntropy(model(weights, batch.images), batch.labels);
const method = lora({
  rank: 8,
  alpha: 16,
  targetModules: ['query', 'value', 'fc1', 'fc2', 'head'],
});
const { adapters } = orThrow(method.init(base, key(2)));
console.log(`${parameterCount(adapters)} of ${parameterCount(base)} numbers are trained`);

const backend = await wasmBackend({ threads: 1 });
const order = shuffledBatches(key(3), 200, 32);
const { state } = await train(
  {
    loss: adapt(base, method)(taskLoss),
    optimiser: adamW({ learningRate: cosineSchedule(1e-2, { totalSteps: 60 }) }),
    params: adapters,
    totalSteps: 60,
    batch: (step) => takeRows(data, order(step)),
    runKey: key(4),
  },
  backend,
  {
    observe: (event) =>
      event.kind === 'step' &&
      event.step % 20 === 0 &&
      console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`),
  },
);

// Merged weights are weights of the plain model.
const merged = orThrow(method.merge(base, state.params));
const scores = evaluator(
  (weights, batch) => ({
    correct: convert(equal(argmax(model(weights, batch.images), 1), batch.labels), 'float'),
  }),
  backend,
  { batchSize: 50 },
);
const { correct } = await scores.evaluate(merged, data);
console.log(`accuracy on the training images: ${(100 * correct).toFixed(0)} %`);
await scores.dispose();
await backend.dispose();
