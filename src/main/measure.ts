/** What is measured of a trained model: accuracy, robustness, and how flat its minimum is. */
import { type HostArray, key, range } from '../autodiff/index.js';
import {
  filterNormalisedDirection,
  lossSurface,
  meanLossRise,
  topHessianEigenvalue,
} from '../flatlora/index.js';
import { type Backend, programRunner } from '../kernels/index.js';
import { evaluator, takeRows } from '../training/index.js';
import type { Job, JobProgress, Premises } from './job.js';
import { type Batch, scores, taskLoss } from './model.js';

/** σ at which the mean loss rise of every model is measured. */
export const MEASURED_SIGMA = 0.1;

/** Images 0, n, 2n, … */
const everyNth = (batch: Batch<HostArray>, n: number): Batch<HostArray> =>
  takeRows(
    batch,
    range(Math.ceil((batch.labels.shape[0] as number) / n)).map((i) => i * n),
  );

/** Everything that is measured of a trained model, at its merged weights. */
export async function measure(
  { effort, landscape }: Job,
  data: Premises['data'],
  merged: unknown,
  backend: Backend,
  progress: JobProgress,
) {
  const runner = programRunner(backend);
  const { evaluate, dispose } = evaluator(scores, backend, { batchSize: 128 });
  const onTrain = await evaluate(merged, data.train as never);
  const trainLoss = onTrain.loss as number;
  const none = {
    targetAccuracy: null,
    testLoss: null,
    corruption: [],
    topHessianEigenvalue: null,
    meanLossRise: null,
  };
  if (!effort.measure) {
    await dispose();
    return { scores: none, trainLoss };
  }
  const onTest = await evaluate(merged, everyNth(data.test, effort.testStride) as never);
  const corruption: number[] = [];
  for (const set of data.corrupted) {
    corruption.push((await evaluate(merged, set as never)).accuracy as number);
    progress(0.1 * corruption.length);
  }
  await dispose();
  // The labelled images go round the classes, so the first ones are balanced.
  const probe = [takeRows(data.train, range(effort.probe))];
  const rise = await meanLossRise(runner, taskLoss, merged, probe, {
    sigma: MEASURED_SIGMA,
    samples: effort.samples,
    key: key(101),
  });
  progress(0.6);
  const top = await topHessianEigenvalue(runner, taskLoss, merged, probe, {
    key: key(102),
    tolerance: 0.02,
    maxIterations: effort.lanczosIterations,
  });
  progress(0.8);
  const surface = landscape
    ? await lossSurface(
        runner,
        taskLoss,
        merged,
        probe,
        [filterNormalisedDirection(merged, key(103)), filterNormalisedDirection(merged, key(104))],
        { points: effort.points, range: 0.5 },
      )
    : undefined;
  return {
    scores: {
      targetAccuracy: onTest.accuracy as number,
      testLoss: onTest.loss as number,
      corruption,
      topHessianEigenvalue: top.eigenvalue,
      meanLossRise: rise.rise,
    },
    trainLoss,
    surface,
  };
}
