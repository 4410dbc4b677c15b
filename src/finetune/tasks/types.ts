/** What a task makes of data: examples for training and evaluation, and the numbers that are told. */
import type { HostArray, Key } from '../../autodiff/index.js';
import type { Task } from '../../huggingface/architecture.js';
import type { TaskModel } from '../../huggingface/tasks.js';
import type { Tokenizer } from '../../tokenizers/index.js';
import type { Metrics, PerExample } from '../../training/index.js';

/** Where examples come from, and what their fields mean. */
export interface DataSource {
  /** A file of records, a folder with a subfolder of images for each class, or a file of IDX or CIFAR. */
  readonly path: string;
  /** Names of the columns of a table whose first line is a row already. */
  readonly columns?: readonly string[] | undefined;
  /** What is read: `{field}` is filled in. By default the field `text`, or `prompt` where there is one. */
  readonly template?: string | undefined;
  /** What is to be written. */
  readonly target?: string | undefined;
  /** The field with the class; `label` by default. */
  readonly label?: string | undefined;
  /** The field with a second text. */
  readonly pair?: string | undefined;
}

export interface TextLimits {
  /** Tokens of an example at most; longer ones are cut. */
  readonly maxLength: number;
  /** Tokens that are written at most. */
  readonly maxTargetLength: number;
  /** Plain text in full rows, one text after another, instead of a row for each. */
  readonly pack: boolean;
  /** Lengths that batches are padded to. */
  readonly buckets: number;
}

/** What a model folder has besides weights. */
export interface ModelAids {
  readonly config: unknown;
  /** Of text models. @throws (rejects) when the folder has none. */
  readonly tokenizer: () => Promise<Tokenizer>;
  /** What `preprocessor_config.json` says; a problem where there is none. */
  readonly preprocessor: () => Promise<unknown>;
  readonly limits: TextLimits;
  /** Names of the classes, where the model knows them. */
  readonly classes: readonly string[] | undefined;
  /** The id that ends a text. */
  readonly endToken: number | undefined;
  /** The id that fills rows up. */
  readonly padToken: number | undefined;
}

/** Examples in memory; `rows` of them are the tree that the task's loss takes. */
export interface Examples {
  readonly count: number;
  /** All of them as one batch. */
  readonly all: Readonly<Record<string, HostArray>>;
  /** The batch of each step. */
  readonly batches: (key: Key, batchSize: number) => (step: number) => unknown;
  /** Some of them. */
  readonly pick: (rows: ArrayLike<number>) => Examples;
}

export interface TaskKind<W = never, X = never> {
  readonly task: Task;
  readonly model: (config: never) => TaskModel<W, X>;
  readonly load: (source: DataSource, aids: ModelAids) => Promise<Examples>;
  /** A batch with nothing in it, of the sizes that training would have: for plans. */
  readonly blank: (config: never, batchSize: number, limits: TextLimits) => unknown;
  /** Numbers of each example, [b], for the evaluator. */
  readonly perExample: (config: never) => PerExample<W, X>;
  /** What is told, from the numbers' means over all examples. */
  readonly metrics: (means: Metrics) => Metrics;
  /** The metric by which checkpoints are compared. */
  readonly best: { readonly metric: string; readonly higher: boolean };
  /** Names of modules that get adapters unless told otherwise. */
  readonly targetModules: (config: never) => readonly string[];
}
