/**
 * The compiled programs of a training run: one for the whole step, or, when a step's batch comes in
 * parts, one for each part and one for the update.
 */
import { concat, convert, ints, type Loss, reshape, zerosLike } from '../autodiff/index.js';
import { type Backend, compile, type DeviceArray, release } from '../kernels/index.js';
import type { GradientTransformation } from '../optimisers/index.js';
import { mapTrees } from '../optimisers/transformation.js';
import {
  type Accumulator,
  accumulateGradient,
  applyAccumulated,
  emptyAccumulator,
  type StepOptions,
  type StepResult,
  type StepState,
  trainStep,
} from './step.js';

/** A state on a device. */
export type DeviceState = StepState<unknown, DeviceArray>;

export interface Stepped {
  readonly state: DeviceState;
  /** float[3]: loss, gradient norm, next step (negative once a step was not finite). */
  readonly report: DeviceArray;
}

export interface StepPrograms {
  /** Runs step `number`; the state is given away. `batchOf` gives micro-batch m of the step. */
  readonly step: (
    number: number,
    state: DeviceState,
    batchOf: (micro: number) => unknown,
    runKey: DeviceArray,
  ) => Promise<Stepped>;
  readonly dispose: () => Promise<void>;
}

/** What the host wants to know of a step in one array, hence one read. */
const withReport = <P>({ state, loss, gradientNorm }: StepResult<P>) => ({
  state,
  report: concat([
    reshape(loss, [1]),
    reshape(gradientNorm, [1]),
    reshape(convert(state.step, 'float'), [1]),
  ]),
});

/** Programs that are compiled when they are first needed: one for ordinary steps, one that refreshes. */
function perKind<A extends { readonly dispose: () => Promise<void> }>(
  { refreshEvery }: GradientTransformation,
  compileFor: (refresh: boolean) => A,
) {
  const made = new Map<boolean, A>();
  return {
    at: (step: number): A => {
      const refresh = refreshEvery !== undefined && step % refreshEvery === 0;
      const known = made.get(refresh) ?? compileFor(refresh);
      made.set(refresh, known);
      return known;
    },
    dispose: async () => {
      for (const program of made.values()) await program.dispose();
    },
  };
}

function wholeStep<P, X>(
  loss: Loss<P, X>,
  optimiser: GradientTransformation,
  backend: Backend,
  options: StepOptions,
): StepPrograms {
  const programs = perKind(optimiser, (refresh) => {
    const step = trainStep(loss, optimiser, { ...options, refresh });
    return compile((...args: Parameters<typeof step>) => withReport(step(...args)), backend, {
      donate: [0],
    });
  });
  return {
    step: async (number, state, batchOf, runKey) =>
      (await programs.at(number)(state, await batchOf(0), runKey)) as unknown as Stepped,
    dispose: programs.dispose,
  };
}

function stepInParts<P, X>(
  loss: Loss<P, X>,
  optimiser: GradientTransformation,
  backend: Backend,
  options: StepOptions,
  microBatches: number,
  params: P,
): StepPrograms {
  const accumulate = compile(accumulateGradient(loss, options), backend, { donate: [0] });
  const updates = perKind(optimiser, (refresh) => {
    const update = applyAccumulated<P>(optimiser, microBatches, refresh);
    return compile(
      (state: StepState<P>, sums: Accumulator<P>) => ({
        ...withReport(update(state, sums)),
        // Emptied on the device for the next step.
        empty: mapTrees(([x]) => zerosLike(x as never), sums),
      }),
      backend,
      { donate: [0, 1] },
    );
  });
  let sums: unknown = emptyAccumulator(params);
  return {
    step: async (number, state, batchOf, runKey) => {
      for (let micro = 0; micro < microBatches; micro++) {
        const { params: weights, step } = state;
        const at = { params: weights, step };
        sums = await accumulate(sums, at, await batchOf(micro), runKey, ints([micro], []));
      }
      const { empty, ...stepped } = (await updates.at(number)(
        state,
        sums,
      )) as unknown as Stepped & {
        readonly empty: unknown;
      };
      sums = empty;
      return stepped;
    },
    dispose: async () => {
      release(backend, sums);
      await accumulate.dispose();
      await updates.dispose();
    },
  };
}

/** @param params on the host, for the shapes of the gradient sums. */
export const stepPrograms = <P, X>(
  loss: Loss<P, X>,
  optimiser: GradientTransformation,
  backend: Backend,
  options: StepOptions,
  microBatches: number,
  params: P,
): StepPrograms =>
  microBatches === 1
    ? wholeStep(loss, optimiser, backend, options)
    : stepInParts(loss, optimiser, backend, options, microBatches, params);
