/** Every experiment of `npm run paper`, in the order of reports: the paper's, then beyond it. */
import { FlatloraError } from '../autodiff/index.js';
import type { Experiment } from './experiment.js';
import { beyondDrift } from './experiments/beyondDrift.js';
import { beyondRegimes } from './experiments/beyondRegimes.js';
import { beyondRivals } from './experiments/beyondRivals.js';
import { figure1 } from './experiments/figure1.js';
import { figure3 } from './experiments/figure3.js';
import { figure4 } from './experiments/figure4.js';
import { figure5a } from './experiments/figure5a.js';
import { figure5b } from './experiments/figure5b.js';
import { figure6 } from './experiments/figure6.js';
import { figureA1 } from './experiments/figureA1.js';
import { figureA1Text } from './experiments/figureA1Text.js';
import { figureA2 } from './experiments/figureA2.js';
import { table1 } from './experiments/table1.js';
import { table2 } from './experiments/table2.js';
import { table3 } from './experiments/table3.js';
import { table4 } from './experiments/table4.js';
import { table5 } from './experiments/table5.js';
import { table5Vision } from './experiments/table5Vision.js';
import { table6 } from './experiments/table6.js';
import { table6Vision } from './experiments/table6Vision.js';
import { table7 } from './experiments/table7.js';
import { tableA1 } from './experiments/tableA1.js';
import { tableA2 } from './experiments/tableA2.js';
import { tableA4 } from './experiments/tableA4.js';
import { tableA4Vision } from './experiments/tableA4Vision.js';

/** Nobody but an experiment itself looks into its premises. */
// biome-ignore lint/suspicious/noExplicitAny: premises differ between experiments of one list
export type AnyExperiment = Experiment<any>;

export const EXPERIMENTS: readonly AnyExperiment[] = [
  table1,
  table2,
  figure1,
  figure3,
  table3,
  table4,
  figure4,
  table5,
  table5Vision,
  table6,
  table6Vision,
  figure5a,
  figure5b,
  figure6,
  table7,
  figureA1,
  figureA1Text,
  figureA2,
  tableA1,
  tableA2,
  tableA4,
  tableA4Vision,
  beyondRivals,
  beyondRegimes,
  beyondDrift,
];

/** The experiment of a name. */
export function experimentNamed(name: string): AnyExperiment {
  const found = EXPERIMENTS.find((experiment) => experiment.name === name);
  if (found === undefined) {
    const names = EXPERIMENTS.map((experiment) => experiment.name).join(', ');
    throw new FlatloraError('argument', `experiment: given "${name}", expected all or ${names}`);
  }
  return found;
}
