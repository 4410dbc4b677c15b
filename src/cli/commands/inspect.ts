/** `flatlora inspect`: what a checkpoint or an adapter holds, without reading its tensors. */
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { orThrow, sizeOf } from '../../autodiff/index.js';
import type { TensorInfo } from '../../checkpoints/index.js';
import { openSafetensors } from '../../checkpoints/node/index.js';
import { finetuneSettings, planFinetune } from '../../finetune/index.js';
import { architectureOf, misfit, modulesOf, readPeftConfig } from '../../huggingface/index.js';
import { isAdapterFolder, openModel, readJson } from '../../huggingface/node/index.js';
import { type Command, type Flag, onlyKnown, required, SHARED_FLAGS } from '../command.js';
import { EXIT } from '../exit.js';

const FLAGS: readonly Flag[] = [
  { ...SHARED_FLAGS.model, help: 'a model folder, an adapter folder or a .safetensors file' },
  { field: 'tensors', kind: 'switch', help: 'list every tensor' },
  {
    field: 'plan',
    kind: 'switch',
    help: 'predict the memory of a training step on WebAssembly; nothing but config.json is read',
  },
  { field: 'method', kind: 'text', help: 'for --plan (default: flat-lora)' },
  { field: 'rank', kind: 'number', help: 'for --plan (default: 8)' },
  { field: 'batchSize', kind: 'number', help: 'for --plan (default: 16)' },
  { field: 'microBatches', kind: 'number', help: 'for --plan (default: 1)' },
  { field: 'maxLength', kind: 'number', help: 'for --plan: tokens of an example (default: 512)' },
  { field: 'maxTargetLength', kind: 'number', help: 'for --plan (default: 128)' },
  {
    field: 'precision',
    kind: 'text',
    help: 'for --plan: float32, bfloat16, float16, int8 or nf4 (default: float32)',
  },
  { field: 'checkpointing', kind: 'switch', help: 'for --plan' },
  { field: 'targetModules', kind: 'list', help: 'for --plan' },
  SHARED_FLAGS.threads,
];

const BYTES: Readonly<Record<string, number>> = { F64: 8, I64: 8, U64: 8, F32: 4, I32: 4, U32: 4 };
const bytesOf = ({ storage, shape }: TensorInfo): number =>
  sizeOf(shape) * (BYTES[storage] ?? (/16/.test(storage) ? 2 : 1));

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Counts and sizes of some tensors. */
function summaryOf(entries: ReadonlyMap<string, TensorInfo>) {
  const list = [...entries];
  const types = new Map<string, number>();
  for (const [, { storage }] of list) types.set(storage, (types.get(storage) ?? 0) + 1);
  return {
    tensors: list.length,
    parameters: list.reduce((n, [, { shape }]) => n + sizeOf(shape), 0),
    bytes: list.reduce((n, [, info]) => n + bytesOf(info), 0),
    types: Object.fromEntries(types),
  };
}

const listOf = (entries: ReadonlyMap<string, TensorInfo>) =>
  [...entries].map(([name, { storage, shape }]) => ({ name, type: storage, shape: [...shape] }));

/** Target modules by their last names, each with its shapes and how many there are. */
function targetsOf(opened: Parameters<typeof modulesOf>[0], config: unknown) {
  const groups = new Map<string, { shape: string; count: number }>();
  for (const { name, places } of modulesOf(opened, config).values()) {
    const last = name.split('.').at(-1) as string;
    const rows = places.reduce((n, { shape }) => n + (shape[0] as number), 0);
    const shape = `[${rows},${places[0]?.shape[1]}]`;
    groups.set(last, { shape, count: (groups.get(last)?.count ?? 0) + 1 });
  }
  return Object.fromEntries(
    [...groups].map(([name, { shape, count }]) => [name, `${count} × ${shape}`]),
  );
}

type Shown = {
  kind: string;
  list?: readonly { name: string; type: string; shape: number[] }[];
} & Record<string, unknown>;

async function inspectModel(folder: string, withList: boolean): Promise<Shown> {
  const { architecture, config, source } = orThrow(await openModel(folder)());
  const wrong = misfit(architecture.places(config), source, architecture);
  return {
    kind: 'model',
    architecture: architecture.name,
    task: architecture.task,
    ...summaryOf(source.entries),
    ...(wrong && { problem: wrong.message }),
    configuration: config,
    targetModules: targetsOf(architecture, config),
    ...(withList && { list: listOf(source.entries) }),
  };
}

/** The memory of a training step with these settings. */
async function planOf(folder: string, given: Readonly<Record<string, unknown>>): Promise<object> {
  const json = orThrow(await readJson(path.join(folder, 'config.json'))());
  const architecture = orThrow(architectureOf(json));
  const { tensors: _, plan: __, ...settings } = given;
  const known = orThrow(finetuneSettings({ ...settings, train: 'none', out: 'none' }));
  const config = orThrow(architecture.config(json));
  return { architecture: architecture.name, ...planFinetune(architecture, config, known) };
}

async function inspectAdapter(folder: string, withList: boolean): Promise<Shown> {
  const json = orThrow(await readJson(path.join(folder, 'adapter_config.json'))());
  const source = orThrow(await openSafetensors(path.join(folder, 'adapter_model.safetensors'))());
  const config = readPeftConfig(json);
  const fields = json as Readonly<Record<string, unknown>>;
  return {
    kind: 'adapter',
    ...(E.isRight(config)
      ? { method: config.right.kind, rank: config.right.rank, alpha: config.right.alpha }
      : { problem: config.left.message }),
    base: fields.base_model_name_or_path,
    targetModules: fields.target_modules,
    ...summaryOf(source.entries),
    ...(withList && { list: listOf(source.entries) }),
  };
}

async function inspectFile(file: string): Promise<Shown> {
  const { entries } = orThrow(await openSafetensors(file)());
  return { kind: 'tensors', ...summaryOf(entries), list: listOf(entries) };
}

function text({ list, bytes, ...facts }: Shown): string {
  const shown = Object.entries(facts).map(([name, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? `${name}:\n${Object.entries(value)
          .map(([k, x]) => `  ${k}: ${typeof x === 'object' ? JSON.stringify(x) : x}`)
          .join('\n')}`
      : `${name}: ${Array.isArray(value) ? value.join(', ') : value}`,
  );
  return [
    ...shown,
    `size: ${mebibytes(bytes as number)}`,
    ...(list ?? []).map(({ name, type, shape }) => `  ${name}  ${type}[${shape.join(',')}]`),
  ].join('\n');
}

export const inspectCommand: Command = {
  name: 'inspect',
  summary: 'architecture, tensors, sizes and target modules of a checkpoint or an adapter',
  examples: [
    'flatlora inspect --model ./llama',
    'flatlora inspect --model run/adapter --tensors',
    'flatlora inspect --model ./llama --plan --batch-size 4 --max-length 256 --precision bfloat16',
  ],
  flags: FLAGS,
  run: async (given, { out }) => {
    onlyKnown(given, FLAGS);
    const place = required(given, 'model');
    const withList = given.tensors === true;
    if (given.plan === true) {
      const found = await planOf(place, given);
      out(found, () =>
        Object.entries(found)
          .map(([name, x]) => `${name}: ${/Bytes$/.test(name) ? mebibytes(x) : x}`)
          .join('\n'),
      );
      return EXIT.ok;
    }
    const found = place.endsWith('.safetensors')
      ? await inspectFile(place)
      : (await isAdapterFolder(place))
        ? await inspectAdapter(place, withList)
        : await inspectModel(place, withList);
    out(found, () => text(found));
    return EXIT.ok;
  },
};
