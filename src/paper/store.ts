/**
 * Results on disk: one JSON file a cell, `DIR/cells/<experiment>/<id>.json`, written atomically. A
 * folder of results is resumed by being used again, and joined with others by copying files.
 */
import { access, mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { FlatloraError, orThrow } from '../autodiff/index.js';
import { writeBytesAtomically } from '../checkpoints/node/index.js';
import type { CellResult, Measures } from './experiment.js';
import { type Task, taskId } from './grid.js';

const fileOf = (out: string, task: Task): string =>
  path.join(out, 'cells', task.experiment, `${taskId(task)}.json`);

/** Where a cell keeps its checkpoints while it runs. */
export const workFolder = (out: string, task: Task): string =>
  path.join(out, 'work', `${task.experiment}-${taskId(task)}`);

/** Writes a text so that a reader sees all of it or nothing. */
export async function writeText(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  orThrow(await writeBytesAtomically(file, new TextEncoder().encode(text))());
}

/** The text of a file; `undefined` when there is none. */
export async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** JSON has no NaN and no infinity: what is not finite is kept as null and read as NaN. */
const finite = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? null : value;
const nanForNull = (_: string, value: unknown): unknown => (value === null ? Number.NaN : value);

export const toJson = (value: unknown): string => `${JSON.stringify(value, finite, 1)}\n`;
export const fromJson = (text: string): unknown => JSON.parse(text, nanForNull);

/** Keeps a result, and drops the cell's checkpoints. */
export async function saveResult(out: string, task: Task, measures: Measures): Promise<void> {
  await writeText(fileOf(out, task), toJson({ ...task, measures }));
  await rm(workFolder(out, task), { recursive: true, force: true });
}

/** Whether a cell has a result, without reading it. */
export const isDone = (out: string, task: Task): Promise<boolean> =>
  access(fileOf(out, task)).then(
    () => true,
    () => false,
  );

/** The result of a cell that is done. */
export async function loadResult(out: string, task: Task): Promise<CellResult | undefined> {
  const file = fileOf(out, task);
  const text = await readText(file);
  if (text === undefined) return undefined;
  try {
    return { cell: task.cell, measures: (fromJson(text) as { measures: Measures }).measures };
  } catch {
    throw new FlatloraError('checkpoint', `${file}: not the JSON of a result; remove it`);
  }
}
