/** Every experiment of `npm run paper`, in the order of reports: the paper's, then beyond it. */
import { FlatloraError } from '../autodiff/index.js';
import type { Experiment } from './experiment.js';
import { table2 } from './experiments/table2.js';

/** Nobody but an experiment itself looks into its premises. */
// biome-ignore lint/suspicious/noExplicitAny: premises differ between experiments of one list
export type AnyExperiment = Experiment<any>;

export const EXPERIMENTS: readonly AnyExperiment[] = [table2];

/** The experiment of a name. */
export function experimentNamed(name: string): AnyExperiment {
  const found = EXPERIMENTS.find((experiment) => experiment.name === name);
  if (found === undefined) {
    const names = EXPERIMENTS.map((experiment) => experiment.name).join(', ');
    throw new FlatloraError('argument', `experiment: given "${name}", expected all or ${names}`);
  }
  return found;
}
