/**
 * What the library knows of a Hugging Face architecture: which of our models it is, how `config.json`
 * becomes our configuration, and where each array stands in the checkpoint. One file each under
 * `architectures/`, one line each in `registry.ts`.
 */
import type { Result } from '../autodiff/index.js';
import type { Place } from './places.js';

/** What a model is for, and with that which inputs it takes (see `tasks.ts`). */
export type Task =
  | 'causal-lm'
  | 'seq2seq-lm'
  | 'text-classification'
  | 'image-classification'
  | 'contrastive'
  | 'image-features'
  | 'text-features';

/**
 * @typeParam C our configuration
 * @typeParam W our tree of weights, with host arrays as leaves
 */
export interface Architecture<T extends Task = Task, C = unknown, W = unknown> {
  /** As in the field `architectures` of config.json: `LlamaForCausalLM`. */
  readonly name: string;
  readonly task: T;
  /** Our configuration; a problem that names the field where the model is one that we do not have. */
  readonly config: (json: unknown) => Result<C>;
  /** A place for every array of the model. */
  readonly places: (config: C) => readonly Place[];
  /** Tensors that checkpoints may hold and that no model needs: buffers, tied copies. */
  readonly ignored: readonly RegExp[];
  /** Never there: it carries the type of the weights. */
  readonly weights?: W;
}

/** Any architecture, of whatever model. */
// biome-ignore lint/suspicious/noExplicitAny: stands for every configuration and tree
export type AnyArchitecture = Architecture<Task, any, any>;
