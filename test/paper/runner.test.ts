/** The runner: grids, shards, merging, resuming, reports. The experiment here is arithmetic. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FlatloraError } from '../../src/autodiff/index.js';
import type { Backend } from '../../src/kernels/index.js';
import { type Plan, writeReports } from '../../src/paper/collect.js';
import { missingData } from '../../src/paper/dataPlaces.js';
import type { Cell, Experiment, Measures, Surroundings } from '../../src/paper/experiment.js';
import { inShard, readShard, type Task, taskId, tasksOf } from '../../src/paper/grid.js';
import { mergeFolders, savePlan } from '../../src/paper/merge.js';
import { readOptions } from '../../src/paper/options.js';
import { nextTask } from '../../src/paper/pool.js';
import { loadResult, saveResult, workFolder } from '../../src/paper/store.js';
import { differencesTable, resultsTable } from '../../src/paper/tables.js';
import { worker } from '../../src/paper/work.js';

const SURROUNDINGS: Surroundings = { quick: true, dataDir: undefined, seeds: 3 };
const NEVER = new AbortController().signal;
const nothing = () => undefined;

/** A "run" is a sum; `calls` counts them. */
function arithmetic(name: string, calls: { count: number } = { count: 0 }): Experiment<number> {
  return {
    name,
    counterpart: `Table <${name}>`,
    departures: [],
    data: [],
    cells: ({ seeds }) =>
      ['lora', 'flat-lora'].flatMap((method) =>
        Array.from({ length: seeds }, (_, seed): Cell => ({ method, seed })),
      ),
    prepare: async () => 100,
    run: async (cell, premises): Promise<Measures> => {
      calls.count += 1;
      const seed = Number(cell.seed);
      return { score: premises + (cell.method === 'lora' ? seed : 2.5 * seed), odd: Number.NaN };
    },
    report: (results) => [
      {
        title: 'Scores',
        paragraphs: ['a & b'],
        tables: [
          resultsTable(
            'Scores',
            results,
            [{ label: 'all', where: {} }],
            [{ label: 'LoRA', where: { method: 'lora' } }],
            { measure: 'score', format: 'significant' },
          ),
          differencesTable(
            'Differences',
            results,
            [{ label: 'flat', a: { method: 'flat-lora' }, b: { method: 'lora' } }],
            { measure: 'score', format: 'significant', better: 'higher' },
          ),
        ],
        figures: [{ caption: 'a dot', svg: '<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>' }],
      },
    ],
  };
}

const backend = {
  memory: () => ({ buffers: 0, bytes: 0, peakBytes: 0 }),
  dispose: async () => undefined,
} as unknown as Backend;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'flatlora-paper-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const EXPERIMENTS = [arithmetic('one'), arithmetic('two')];
const PLAN: Plan = {
  names: ['one', 'two'],
  quick: true,
  seeds: 3,
  skipped: [{ name: 'three', reason: 'no data' }],
  version: '0',
  commit: 'c',
};

/** Does tasks as a process of its own would, into a folder of its own. */
async function work(tasks: readonly Task[], out: string, experiments = EXPERIMENTS) {
  const own = worker({
    experiments,
    surroundings: SURROUNDINGS,
    out,
    openBackend: async () => backend,
  });
  for (const task of tasks) await own.work(task, NEVER, nothing);
  await own.dispose();
}

/** All files below a folder with their contents. */
async function contents(root: string): Promise<Readonly<Record<string, string>>> {
  const names = (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
  const texts = await Promise.all(names.map((name) => readFile(path.join(root, name), 'utf8')));
  return Object.fromEntries(names.map((name, i) => [name, texts[i] as string]));
}

test('one shard and three give the same bytes, merged', async () => {
  const tasks = tasksOf(EXPERIMENTS, SURROUNDINGS);
  expect(tasks).toHaveLength(12);
  const whole = path.join(folder, 'whole');
  await work(tasks, whole);
  await savePlan(whole, PLAN);
  await writeReports(whole, PLAN, EXPERIMENTS);

  const parts = [1, 2, 3].map((index) => path.join(folder, `part-${index}`));
  for (const [i, out] of parts.entries()) {
    await savePlan(out, PLAN);
    await work(inShard(tasks, { index: i + 1, count: 3 }), out);
  }
  const merged = path.join(folder, 'merged');
  const plan = await mergeFolders(parts.toReversed(), merged);
  await writeReports(merged, plan, EXPERIMENTS);

  const [a, b] = [await contents(whole), await contents(merged)];
  expect(Object.keys(a).filter((name) => name.startsWith('cells'))).toHaveLength(12);
  expect(Object.keys(a)).toEqual(
    expect.arrayContaining(['results.json', 'report.md', 'report.html', 'figures/one-0.svg']),
  );
  expect(b).toEqual(a);
});

test('the shards of a grid are a partition of it', () => {
  const tasks = tasksOf(EXPERIMENTS, SURROUNDINGS);
  const parts = [1, 2, 3, 4, 5].map((index) => inShard(tasks, { index, count: 5 }));
  expect(parts.flat()).toHaveLength(tasks.length);
  expect(new Set(parts.flat())).toEqual(new Set(tasks));
  const sizes = parts.map((part) => part.length);
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
});

test('what is done is not done again, and a result drops the checkpoints of its cell', async () => {
  const calls = { count: 0 };
  const experiment = arithmetic('one', calls);
  const tasks = tasksOf([experiment], SURROUNDINGS);
  await work(tasks.slice(0, 4), folder, [experiment]);
  expect(calls.count).toBe(4);
  await work(tasks, folder, [experiment]);
  expect(calls.count).toBe(6);
  const [task] = tasks as [Task];
  const own = workFolder(folder, task);
  await mkdir(own, { recursive: true });
  await writeFile(path.join(own, 'checkpoint'), '');
  await saveResult(folder, task, { score: 1 });
  expect(await readdir(path.dirname(own))).toEqual([]);
});

test('experiments with one run share the results of equal cells, others do not', async () => {
  const calls = { count: 0 };
  const one = arithmetic('one', calls);
  const same: Experiment<number> = { ...arithmetic('two'), run: one.run };
  const tasks = tasksOf([one, same], SURROUNDINGS);
  await work(tasks, folder, [one, same]);
  expect(calls.count).toBe(6);
  for (const task of tasks) {
    const twin = { ...task, experiment: task.experiment === 'one' ? 'two' : 'one' };
    expect(await loadResult(folder, task)).toEqual(await loadResult(folder, twin));
  }
  const other = arithmetic('three', calls);
  await work(tasksOf([other], SURROUNDINGS), folder, [one, same, other]);
  expect(calls.count).toBe(12);
});

test('an interrupted cell leaves no result', async () => {
  const stopping: Experiment<number> = { ...arithmetic('one'), run: async () => undefined };
  const tasks = tasksOf([stopping], SURROUNDINGS);
  await work(tasks, folder, [stopping]);
  expect(await loadResult(folder, tasks[0] as Task)).toBeUndefined();
});

test('a run that diverges is a result without numbers; another error is none', async () => {
  const failing = (kind: 'not-finite' | 'shape'): Experiment<number> => ({
    ...arithmetic('one'),
    run: async () => {
      throw new FlatloraError(kind, 'train: no');
    },
  });
  const [task] = tasksOf([arithmetic('one')], SURROUNDINGS) as [Task];
  await expect(work([task], folder, [failing('shape')])).rejects.toThrow('train: no');
  expect(await loadResult(folder, task)).toBeUndefined();
  await work([task], folder, [failing('not-finite')]);
  expect((await loadResult(folder, task))?.measures).toEqual({ diverged: 1 });
});

test('numbers that are not finite survive the file, and reports count them', async () => {
  const [task] = tasksOf([arithmetic('one')], SURROUNDINGS) as [Task];
  await saveResult(folder, task, { score: 1, odd: Number.NaN, curve: [[0, Number.NaN]] });
  const found = await loadResult(folder, task);
  expect(found?.measures).toEqual({ score: 1, odd: Number.NaN, curve: [[0, Number.NaN]] });
});

test('a cell is found whatever the order of its settings, and by nothing else', () => {
  const task = (cell: Cell, quick = true, experiment = 'one'): string =>
    taskId({ experiment, quick, cell });
  expect(task({ a: 1, b: 'x' })).toBe(task({ b: 'x', a: 1 }));
  const ids = [
    task({ a: 1, b: 'x' }),
    task({ a: 2, b: 'x' }),
    task({ a: '1', b: 'x' }),
    task({ a: 1, b: 'x', c: 0 }),
    task({ a: 1, b: 'x' }, false),
    task({ a: 1, b: 'x' }, true, 'two'),
  ];
  expect(new Set(ids).size).toBe(ids.length);
});

test('results of different seeds do not mix', async () => {
  const [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
  await savePlan(a, PLAN);
  await savePlan(b, { ...PLAN, seeds: 5 });
  await expect(mergeFolders([a, b], path.join(folder, 'm'))).rejects.toThrow(/seeds is 5/);
  await expect(mergeFolders([a, folder], path.join(folder, 'm'))).rejects.toThrow(/plan\.json/);
});

test('folders of different experiments and commits are joined, and all commits named', async () => {
  const [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
  const skipped = [
    { name: 'two', reason: 'r' },
    { name: 'three', reason: 'r' },
  ];
  await savePlan(a, { ...PLAN, names: ['one'], skipped });
  await savePlan(b, { ...PLAN, names: ['two'], skipped: skipped.slice(1), commit: 'd' });
  const plan = await mergeFolders([a, b], a);
  expect(plan).toEqual({
    ...PLAN,
    names: ['one', 'two'],
    skipped: [{ name: 'three', reason: 'r' }],
    commit: 'c, d',
  });
  expect(await mergeFolders([a], a)).toEqual(plan);
});

test('an unfinished grid is reported as such', async () => {
  const experiment = arithmetic('one');
  await work(tasksOf([experiment], SURROUNDINGS).slice(0, 2), folder, [experiment]);
  await writeReports(folder, PLAN, [experiment]);
  const text = await readFile(path.join(folder, 'report.md'), 'utf8');
  expect(text).toContain('2 of 6 runs are done');
  expect(text).toContain('too few pairs');
  expect(text).toContain('three: no data');
});

test('options: what is given, what is by default, what is refused', () => {
  const options = readOptions(['table-2', '--quick', '--shard', '2/3'], { FLATLORA_DATA: 'd' });
  expect(options).toEqual({
    command: { kind: 'run', names: ['table-2'] },
    out: 'out/paper',
    quick: true,
    seeds: 2,
    dataDir: 'd',
    shard: { index: 2, count: 3 },
    threads: undefined,
  });
  expect(readOptions(['all'], {}).seeds).toBe(5);
  expect(readOptions(['merge', 'x', 'y'], {}).command).toEqual({
    kind: 'merge',
    folders: ['x', 'y'],
  });
  for (const bad of [['all', '--seeds', '0'], ['all', '--what'], ['merge'], ['search']]) {
    expect(() => readOptions(bad, {})).toThrow(/given|Unknown/);
  }
  for (const bad of ['0/3', '4/3', '1', 'a/b']) expect(() => readShard(bad)).toThrow(/i\/n/);
});

test('a worker goes on with what is like its last task', () => {
  const task = (experiment: string, method: string, seed: number): Task => ({
    experiment,
    quick: true,
    cell: { method, seed },
  });
  const waiting = [task('one', 'lora', 1), task('two', 'full', 0), task('two', 'lora', 1)] as const;
  expect(nextTask(waiting, undefined)).toBe(waiting[0]);
  expect(nextTask(waiting, task('two', 'lora', 0))).toBe(waiting[2]);
  expect(nextTask(waiting, task('two', 'sam', 0))).toBe(waiting[1]);
  expect(nextTask(waiting, task('three', 'sam', 0))).toBe(waiting[0]);
  expect(nextTask([], waiting[0])).toBeUndefined();
});

test('missing data is named with where to get it', async () => {
  expect(missingData([], undefined)).toBeUndefined();
  expect(missingData(['mnist'], undefined)).toMatch(/mnist.*yann\.lecun\.com.*--data/);
  expect(missingData(['glue/SST-2'], folder)).toMatch(/glue\/SST-2.*gluebenchmark/);
});
