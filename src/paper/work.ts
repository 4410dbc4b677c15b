/** Doing tasks one after the other on one backend: what a worker thread is, without the thread. */
import { FlatloraError } from '../autodiff/index.js';
import type { Backend } from '../kernels/index.js';
import type { Measures, RunContext, Surroundings } from './experiment.js';
import type { Task } from './grid.js';
import type { AnyExperiment } from './registry.js';
import { loadResult, saveResult, workFolder } from './store.js';

export interface Workplace {
  readonly experiments: readonly AnyExperiment[];
  readonly surroundings: Surroundings;
  /** Where results go. */
  readonly out: string;
  readonly openBackend: () => Promise<Backend>;
}

export interface Worker {
  /** Does a task unless its result is there; a result is on disk before this is `done`. */
  readonly work: (
    task: Task,
    signal: AbortSignal,
    progress: (done: number) => void,
  ) => Promise<'done' | 'interrupted'>;
  readonly dispose: () => Promise<void>;
}

/** That a run diverged is a result: it has no numbers, which tables count. Else the error goes on. */
function diverged(error: unknown): Measures {
  if (error instanceof FlatloraError && error.kind === 'not-finite') return { diverged: 1 };
  throw error;
}

/** A backend that keeps programs for later cells is opened anew when arrays and programs reach this. */
const MOST_BYTES = 1.5e9;

export function worker({ experiments, surroundings, out, openBackend }: Workplace): Worker {
  // Kept between tasks for their sake alone: no result depends on it.
  let at: { readonly experiment: AnyExperiment; readonly premises: unknown } | undefined;
  let backend: Backend | undefined;

  const experimentOf = (name: string): AnyExperiment => {
    const experiment = experiments.find((e) => e.name === name);
    if (experiment === undefined) {
      throw new FlatloraError('argument', `worker: no experiment is called "${name}"`);
    }
    return experiment;
  };
  const premisesOf = async (name: string) => {
    if (at?.experiment.name === name) return at;
    const experiment = experimentOf(name);
    at = { experiment, premises: await experiment.prepare(surroundings) };
    return at;
  };
  /** The result of the same run where another experiment has it. */
  const resultOfTwin = async (task: Task) => {
    const own = experimentOf(task.experiment);
    for (const { name, run } of experiments) {
      if (name === own.name || run !== own.run) continue;
      const found = await loadResult(out, { ...task, experiment: name });
      if (found !== undefined) return found.measures;
    }
    return undefined;
  };
  const backendNow = async (): Promise<Backend> => {
    if (backend !== undefined && backend.memory().peakBytes > MOST_BYTES) {
      await backend.dispose();
      backend = undefined;
    }
    backend ??= await openBackend();
    return backend;
  };

  return {
    work: async (task, signal, progress) => {
      if ((await loadResult(out, task)) !== undefined) return 'done';
      const known = await resultOfTwin(task);
      if (known !== undefined) {
        await saveResult(out, task, known);
        return 'done';
      }
      const { experiment, premises } = await premisesOf(task.experiment);
      const context: RunContext = {
        ...surroundings,
        backend: await backendNow(),
        folder: workFolder(out, task),
        signal,
        progress,
      };
      const measures = await experiment.run(task.cell, premises, context).catch(diverged);
      if (measures === undefined) return 'interrupted';
      await saveResult(out, task, measures);
      return 'done';
    },
    dispose: async () => {
      await backend?.dispose();
    },
  };
}
