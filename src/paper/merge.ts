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
  const files = await readdir(path.join(from, 'cells'), { recursive: true }).catch(() => []);
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    const target = path.join(to, 'cells', file);
    await mkdir(path.dirname(target), { recursive: true });
    await copyFile(path.join(from, 'cells', file), target);
  }
}

/**
 * Joins folders into `out`, and tells what they are results of.
 * @throws FlatloraError 'argument' when they are results of different experiments, sizes or code.
 */
export async function mergeFolders(folders: readonly string[], out: string): Promise<Plan> {
  const plans = await Promise.all(folders.map(loadPlan));
  const [first] = plans as [Plan];
  plans.forEach((plan, i) => {
    const odd = (Object.keys(first) as (keyof Plan)[]).find(
      (name) => JSON.stringify(plan[name]) !== JSON.stringify(first[name]),
    );
    if (odd !== undefined) {
      throw new FlatloraError(
        'argument',
        `merge: ${odd} is ${JSON.stringify(plan[odd])} in ${folders[i]}, expected ${JSON.stringify(first[odd])} as in ${folders[0]}`,
      );
    }
  });
  for (const folder of folders) await copyCells(folder, out);
  await savePlan(out, first);
  return first;
}
