/**
 * How flat a solution is, by every tool of `flatlora/sharpness`, in two spaces: that of LoRA's factors,
 * where training happens, and that of the merged weights of the adapted layers, which are used.
 */
import { key, type Loss } from '../../autodiff/index.js';
import {
  adapt,
  hessianTrace,
  lossLines,
  type ProgramRunner,
  topHessianEigenvalues,
  worstCaseRise,
} from '../../flatlora/index.js';
import { programRunner } from '../../kernels/index.js';
import type { Measures, RunContext } from '../experiment.js';
import { type Images, TARGET_MODULES, taskLoss } from './model.js';
import type { VisionRun } from './run.js';

export type Space = 'factors' | 'weights';

/** Radii of the worst case: around the paper's for SAM, 0.003 over the factors, 0.05 over the weights. */
export const RADII: Readonly<Record<Space, readonly number[]>> = {
  factors: [0.01, 0.03, 0.1, 0.3],
  weights: [0.02, 0.05, 0.1, 0.2],
};

/** How far lines go along a direction that is as long as the parameters, row by row. */
export const REACH = 0.5;

/** The radius, in both spaces, at which methods are compared. */
export const COMPARED_RADIUS = 0.1;

/** A runner whose programs fail once the signal has come: these measures take half a minute. */
const untilAborted = (runner: ProgramRunner, signal: AbortSignal): ProgramRunner => ({
  ...runner,
  compile: (f) => {
    const program = runner.compile(f);
    const run = async (...args: readonly unknown[]) => {
      signal.throwIfAborted();
      return program(...args);
    };
    return Object.assign(run, { dispose: program.dispose });
  },
});

interface Place {
  readonly loss: Loss<never, never>;
  readonly params: unknown;
  /** Which matrices move; all parameters where absent. */
  readonly targetModules?: readonly string[];
}

/** The measures of one space, their names ending in the space's. */
async function measureSpace(
  space: Space,
  { loss, params, ...part }: Place,
  probe: readonly Images[],
  { backend, quick, signal }: RunContext,
): Promise<Measures> {
  const runner = untilAborted(programRunner(backend), signal);
  const top = await topHessianEigenvalues(runner, loss, params, probe, {
    ...part,
    key: key(41),
    count: quick ? 2 : 5,
    tolerance: 0.05,
    maxIterations: quick ? 4 : 40,
  });
  const { trace } = await hessianTrace(runner, loss, params, probe, {
    ...part,
    key: key(42),
    samples: quick ? 2 : 24,
  });
  const rises: [number, number][] = [];
  for (const rho of RADII[space]) {
    const steps = quick ? 2 : 10;
    const { rise } = await worstCaseRise(runner, loss, params, probe, { ...part, rho, steps });
    rises.push([rho, rise]);
  }
  const lines = await lossLines(runner, loss, params, probe, {
    key: key(43),
    directions: quick ? 2 : 8,
    points: quick ? 3 : 15,
    range: REACH,
  });
  const middle = (lines.coordinates.length - 1) / 2;
  return {
    [`top-${space}`]: top.eigenvalues[0] as number,
    [`trace-${space}`]: trace,
    [`worst-${space}`]: rises.find(([rho]) => rho === COMPARED_RADIUS)?.[1] as number,
    [`spectrum-${space}`]: top.eigenvalues.map((value, i) => [i + 1, value] as const),
    [`rises-${space}`]: rises,
    // As text, for a measure is no table: the rise above the trained model along each direction.
    [`lines-${space}`]: JSON.stringify(
      lines.losses.map((line) => line.map((loss) => loss - (line[middle] as number))),
    ),
  };
}

/** Both spaces of a trained LoRA; `undefined` when interrupted. */
export async function measureFlatness(
  { tuned, images }: VisionRun,
  context: RunContext,
): Promise<Measures | undefined> {
  const { adapter, adapters, base, merged } = tuned;
  const probe = [images];
  const places: readonly (readonly [Space, Place])[] = [
    ['weights', { loss: taskLoss as never, params: merged, targetModules: TARGET_MODULES }],
    ['factors', { loss: adapt(base, adapter)(taskLoss) as never, params: adapters }],
  ];
  try {
    const found: Measures[] = [];
    for (const [i, [space, place]] of places.entries()) {
      found.push(await measureSpace(space, place, probe, context));
      context.progress(0.9 + 0.1 * i);
    }
    return Object.assign({}, ...found) as Measures;
  } catch (error) {
    if (context.signal.aborted) return undefined;
    throw error;
  }
}
