/** The grid of all runs: which there are, which part of them is a shard's, and how each is found again. */
import { createHash } from 'node:crypto';
import { FlatloraError } from '../autodiff/index.js';
import type { Cell, Experiment, Surroundings } from './experiment.js';

/** A cell of an experiment. */
export interface Task {
  readonly experiment: string;
  readonly quick: boolean;
  readonly cell: Cell;
}

/** Part `index` of `count`, from 1. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** The cells of experiments, one after the other. */
export const tasksOf = (
  experiments: readonly Pick<Experiment<never>, 'name' | 'cells'>[],
  surroundings: Surroundings,
): readonly Task[] =>
  experiments.flatMap(({ name, cells }) =>
    cells(surroundings).map((cell) => ({
      experiment: name,
      quick: surroundings.quick,
      cell,
    })),
  );

/** Every `count`th task, so that long and short experiments are dealt out evenly. */
export const inShard = <T>(tasks: readonly T[], { index, count }: Shard): readonly T[] =>
  tasks.filter((_, i) => i % count === index - 1);

/** `2/8` as a shard. */
export function readShard(text: string): Shard {
  const [, i, n] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { index: Number(i), count: Number(n) };
  if (!(shard.index >= 1 && shard.index <= shard.count)) {
    throw new FlatloraError('argument', `--shard: given "${text}", expected i/n with 1 ≤ i ≤ n`);
  }
  return shard;
}

/** JSON with sorted keys: equal for equal cells, in whatever order they name their settings. */
const canonical = (task: Task): string =>
  JSON.stringify([
    task.experiment,
    task.quick,
    Object.entries(task.cell).sort(([a], [b]) => (a < b ? -1 : 1)),
  ]);

/** The name under which a task's result is kept: 20 hexadecimal digits of its SHA-256. */
export const taskId = (task: Task): string =>
  createHash('sha256').update(canonical(task)).digest('hex').slice(0, 20);
