/** Joins what shards have done: copies the results of all into one folder. */
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { FlatloraError } from '../autodiff/index.js';
import type { Plan } from './collect.js';
import { fromJson, readText, toJson, writeText } from './store.js';

const PLAN = 'plan.json';

/** Writes down what a folder's results are results of. */
export const savePlan = (out: string, plan: Plan): Promise<void> =>
  writeText(path.join(out, PLAN), toJson(plan));

async function loadPlan(folder: string): Promise<Plan> {
  const text = await readText(path.join(folder, PLAN));
  if (text === undefined) {
    throw new FlatloraError(
      'argument',
      `merge: ${folder} has no ${PLAN}, expected a shard's --out`,
    );
  }
  return fromJson(text) as Plan;
}

/** Copies cells that are whole; what a shard was still writing ends in .tmp. */
async function copyCells(from: string, to: string): Promise<void> {
  if (path.resolve(from) === path.resolve(to)) return;
  const files = await readdir(path.join(from, 'cells'), { recursive: true }).catch(() => []);
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    const target = path.join(to, 'cells', file);
    await mkdir(path.dirname(target), { recursive: true });
    await copyFile(path.join(from, 'cells', file), target);
  }
}

/** Every value once, in the order of their first appearance. */
const distinct = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];

/** What must be equal for results to belong together. */
const SHARED = ['quick', 'seeds'] as const;

/** The plan of several folders: all that was run in one of them. Different commits are all named. */
function joined(plans: readonly Plan[]): Plan {
  const [first] = plans as [Plan];
  const names = distinct(plans.flatMap((plan) => plan.names));
  const skipped = plans.flatMap((plan) => plan.skipped);
  return {
    ...first,
    names,
    skipped: skipped.filter(
      ({ name }, i) =>
        !names.includes(name) && skipped.findIndex((other) => other.name === name) === i,
    ),
    commit: distinct(plans.map((plan) => plan.commit)).join(', '),
    version: distinct(plans.map((plan) => plan.version)).join(', '),
  };
}

/**
 * Joins folders into `out`, and tells what they are results of. A folder may be `out` itself: its
 * report is then written anew.
 * @throws FlatloraError 'argument' when they differ in their seeds or in their form.
 */
export async function mergeFolders(folders: readonly string[], out: string): Promise<Plan> {
  const plans = await Promise.all(folders.map(loadPlan));
  const [first] = plans as [Plan];
  plans.forEach((plan, i) => {
    const odd = SHARED.find((name) => plan[name] !== first[name]);
    if (odd !== undefined) {
      throw new FlatloraError(
        'argument',
        `merge: ${odd} is ${plan[odd]} in ${folders[i]}, expected ${first[odd]} as in ${folders[0]}`,
      );
    }
  });
  for (const folder of folders) await copyCells(folder, out);
  const plan = joined(plans);
  await savePlan(out, plan);
  return plan;
}
