/** An experiment's result for what the sliders say; the last one stays while the next is computed. */
import { useEffect, useState } from 'preact/hooks';
import type { ExperimentName, FromWorker, Results, ToWorker } from './protocol.js';

/** One Worker for the page, started with the first experiment. */
function createRunner() {
  let worker: Worker | undefined;
  let next = 0;
  const waiting = new Map<number, (message: FromWorker) => void>();
  return (question: Omit<ToWorker, 'id'>, hear: (message: FromWorker) => void): void => {
    if (worker === undefined) {
      worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        waiting.get(data.id)?.(data);
        waiting.delete(data.id);
      };
    }
    const id = next++;
    waiting.set(id, hear);
    worker.postMessage({ ...question, id } satisfies ToWorker);
  };
}

const run = createRunner();

export interface Experiment<T> {
  readonly result: T | undefined;
  readonly problem: string | undefined;
  readonly isBusy: boolean;
}

export function useExperiment<K extends ExperimentName>(
  name: K,
  options: Readonly<Record<string, number>>,
): Experiment<Results[K]> {
  const [state, setState] = useState<Experiment<Results[K]>>({
    result: undefined,
    problem: undefined,
    isBusy: true,
  });
  useEffect(() => {
    let gone = false;
    setState((before) => ({ ...before, isBusy: true }));
    // A slider that is dragged says many values; the last one of a moment counts.
    const timer = setTimeout(() => {
      run({ name, options }, (message) => {
        if (gone) return;
        setState((before) =>
          'result' in message
            ? { result: message.result as Results[K], problem: undefined, isBusy: false }
            : { ...before, problem: message.problem, isBusy: false },
        );
      });
    }, 120);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [name, JSON.stringify(options)]);
  return state;
}
