/** Model and adapter folders as Hugging Face writes them (Node). */
import { access, mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type HostArray, type Problem, problem } from '../../autodiff/index.js';
import type { Json, ReadOptions, TensorSource } from '../../checkpoints/index.js';
import {
  openSafetensors,
  openSharded,
  readBytes,
  readSafetensors,
  writeBytesAtomically,
  writeSafetensors,
} from '../../checkpoints/node/index.js';
import type { AnyArchitecture } from '../architecture.js';
import { type PeftAdapter, type PeftFiles, readPeft } from '../peft/index.js';
import {
  architectureOf,
  type Pretrained,
  pretrained,
  readWeights,
  tensorsToSave,
} from '../pretrained.js';

const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const ADAPTER_CONFIG = 'adapter_config.json';
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

/** Whether a folder holds an adapter. */
export const isAdapterFolder = (folder: string): Promise<boolean> =>
  exists(path.join(folder, ADAPTER_CONFIG));

/** A parsed JSON file. */
export const readJson = (file: string): TE.TaskEither<Problem, Json> =>
  pipe(
    readBytes(file),
    TE.flatMap((bytes) =>
      TE.fromEither(
        E.tryCatch(
          () => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Json,
          () => problem('checkpoint', `${file}: not valid JSON`),
        ),
      ),
    ),
  );

const writeJson = (file: string, json: Json): TE.TaskEither<Problem, void> =>
  writeBytesAtomically(file, new TextEncoder().encode(`${JSON.stringify(json, null, 2)}\n`));

/** The tensors of a model folder, whole or in shards; nothing but headers is read. */
export const openTensors = (
  folder: string,
  options: ReadOptions = {},
): TE.TaskEither<Problem, TensorSource> =>
  pipe(
    TE.fromTask(() => exists(path.join(folder, INDEX))),
    TE.flatMap((sharded) =>
      sharded
        ? openSharded(path.join(folder, INDEX), options)
        : openSafetensors(path.join(folder, WEIGHTS), options),
    ),
  );

/** What a model folder says of itself before any tensor is read. */
export interface OpenedModel {
  readonly architecture: AnyArchitecture;
  readonly config: unknown;
  readonly json: Json;
  readonly source: TensorSource;
}

/** Opens a model folder: its configuration and where its tensors are. */
export const openModel = (
  folder: string,
  options: ReadOptions = {},
): TE.TaskEither<Problem, OpenedModel> =>
  pipe(
    readJson(path.join(folder, 'config.json')),
    TE.bindTo('json'),
    TE.bind('architecture', ({ json }) => TE.fromEither(architectureOf(json))),
    TE.bind('config', ({ architecture, json }) => TE.fromEither(architecture.config(json))),
    TE.bind('source', () => openTensors(folder, options)),
  );

/** Reads a model folder onto the host. */
export const loadModel = (
  folder: string,
  options: ReadOptions = {},
): TE.TaskEither<Problem, Pretrained> =>
  pipe(
    openModel(folder, options),
    TE.flatMap(({ json, source }) => pretrained(json, source)),
  );

/**
 * Reads the weights of an opened model tensor by tensor; `place` says what becomes of each, such as
 * uploading it, so that no more than one lies on the host.
 */
export const placeModel = <L>(
  { architecture, config, source }: OpenedModel,
  place: (array: HostArray, path: string) => L,
): TE.TaskEither<Problem, unknown> => readWeights(architecture, config, source, place);

const makeFolder = (folder: string): TE.TaskEither<Problem, void> =>
  TE.tryCatch(
    async () => {
      await mkdir(folder, { recursive: true });
    },
    (thrown) =>
      problem('checkpoint', `cannot make ${folder}: ${(thrown as NodeJS.ErrnoException).code}`),
  );

/** Writes a model folder that Hugging Face loads: config.json and model.safetensors. */
export const saveModel = (
  folder: string,
  { architecture, config, json, weights }: Pretrained,
): TE.TaskEither<Problem, void> =>
  pipe(
    TE.fromEither(tensorsToSave(architecture, config, weights)),
    TE.tap(() => makeFolder(folder)),
    TE.flatMap((tensors) =>
      writeSafetensors(path.join(folder, WEIGHTS), {
        tensors: new Map([...tensors].map(([name, make]) => [name, make()])),
        // Without this, transformers refuses the file.
        metadata: new Map([['format', 'pt']]),
      }),
    ),
    TE.flatMap(() => writeJson(path.join(folder, 'config.json'), json)),
  );

/** Files that stand beside the weights and stay true of a merged model. */
const COMPANIONS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
  'preprocessor_config.json',
];

/** Copies tokenizer, generation and image settings from one model folder to another, where they are. */
export const copyCompanions = (from: string, to: string): TE.TaskEither<Problem, void> =>
  pipe(
    COMPANIONS,
    TE.traverseSeqArray((name) =>
      pipe(
        TE.fromTask(() => exists(path.join(from, name))),
        TE.flatMap((there) =>
          there
            ? pipe(
                readBytes(path.join(from, name)),
                TE.flatMap((bytes) => writeBytesAtomically(path.join(to, name), bytes)),
              )
            : TE.right(undefined),
        ),
      ),
    ),
    TE.map(() => undefined),
  );

/** Reads an adapter folder of PEFT for a model. */
export const loadAdapter = (
  folder: string,
  { architecture, config }: Pick<Pretrained, 'architecture' | 'config'>,
): TE.TaskEither<Problem, PeftAdapter> =>
  pipe(
    readJson(path.join(folder, ADAPTER_CONFIG)),
    TE.bindTo('json'),
    TE.bind('file', () => readSafetensors(path.join(folder, ADAPTER_WEIGHTS))),
    TE.flatMap(({ json, file }) => {
      const arrays = new Map([...file.tensors].map(([name, { array }]) => [name, array]));
      return TE.fromEither(readPeft(architecture, config, json, arrays));
    }),
    TE.mapLeft(({ kind, message }) =>
      problem(kind, message.startsWith(folder) ? message : `${folder}: ${message}`),
    ),
  );

/** Writes an adapter folder that PEFT loads. */
export const saveAdapter = (
  folder: string,
  { config, tensors }: PeftFiles,
): TE.TaskEither<Problem, void> =>
  pipe(
    makeFolder(folder),
    TE.flatMap(() =>
      writeSafetensors(path.join(folder, ADAPTER_WEIGHTS), {
        tensors,
        metadata: new Map([['format', 'pt']]),
      }),
    ),
    TE.flatMap(() => writeJson(path.join(folder, ADAPTER_CONFIG), config)),
  );
