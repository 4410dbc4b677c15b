/** The message of a step that was not finite: which step, and the first array where it appears. */
import { FlatloraError, type Loss, scalar, type Value } from '../autodiff/index.js';
import type { Backend, DeviceArray } from '../kernels/index.js';
import { firstNonFinite, type NamedArguments } from './firstNonFinite.js';
import type { DeviceState } from './programs.js';
import { lossAndGradient, NOT_FINITE_FROM, trainingContext } from './step.js';

export interface FailedStep<P, X> {
  readonly plan: {
    readonly loss: Loss<P, X>;
    readonly totalSteps: number;
    readonly microBatches?: number;
    readonly batch: (step: number, micro: number) => unknown;
  };
  readonly backend: Backend;
  /** The state before the step: a step that is not finite changes nothing. */
  readonly state: DeviceState;
  readonly key: DeviceArray;
  readonly step: number;
  readonly loss: number;
}

/** Runs the failed step's forward pass, then its gradient, with every array watched. */
export async function explainFailure<P, X>(failed: FailedStep<P, X>): Promise<FlatloraError> {
  const { plan, backend, state, key, step, loss } = failed;
  const { totalSteps, microBatches = 1 } = plan;
  const what = Math.abs(loss) < NOT_FINITE_FROM ? ' but its gradient is not finite' : '';
  const message = (where: string) =>
    new FlatloraError(
      'not-finite',
      `train: at step ${step} the loss is ${loss}${what}; ${where}; the last good checkpoint is kept`,
    );
  const atStep = scalar(step, 'int');
  for (let micro = 0; micro < microBatches; micro++) {
    const args: NamedArguments = [
      ['parameter', state.params],
      ['batch', await plan.batch(step, micro)],
      ['run key', key],
    ];
    const part = microBatches > 1 ? ` of micro-batch ${micro}` : '';
    const forward = (params: P, batch: X, runKey: Value) =>
      plan.loss(params, batch, trainingContext(runKey, atStep, micro, { totalSteps }));
    const backward = (params: P, batch: X, runKey: Value) =>
      lossAndGradient(plan.loss, { totalSteps })(params, batch, runKey, atStep, micro);
    const inLoss = await firstNonFinite(forward, args, backend);
    if (inLoss !== undefined) return message(`first not finite${part}: ${inLoss}`);
    const inGradient = await firstNonFinite(backward, args, backend);
    if (inGradient !== undefined) {
      return message(`first not finite in the backward pass${part}: ${inGradient}`);
    }
  }
  return message('every array is finite, but the norm of the gradient overflows');
}
