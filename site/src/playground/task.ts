/** What is trained in the playground: a small pre-trained model, a few examples of something new, tests. */
import type { HostArray, Key, Loss, Value } from '../../../src/autodiff/index.js';
import type { AnyArchitecture } from '../../../src/huggingface/index.js';
import type { CausalDecoderConfig } from '../../../src/models/index.js';
import type { PerExample } from '../../../src/training/index.js';

export interface Task {
  /** The pre-trained weights, a tree of host arrays. */
  readonly base: unknown;
  readonly loss: Loss<unknown, unknown>;
  /** `loss` of each example, and `accuracy` where there is one. */
  readonly perExample: PerExample<unknown, unknown>;
  /** Trees of arrays whose first axis counts the examples. */
  readonly train: unknown;
  readonly test: unknown;
  readonly batchSize: number;
  readonly targetModules: readonly string[];
  /** For the names that adapters have in files. */
  readonly architecture: AnyArchitecture;
  readonly config: unknown;
  /** Examples that sharpness and the surface are computed on, and that are scored at once. */
  readonly probeSize: number;
  /** Points along each side of the loss surface. */
  readonly surfacePoints: number;
  /** What a trained model answers when it is asked. */
  readonly ask: Ask;
}

/** A model's answer to a drawing: ten probabilities. To the beginning of a text: how it goes on. */
export type Ask =
  | {
      readonly kind: 'image';
      /** Traceable: weights and images [1, 16, 16] to logits [1, 10]. */
      readonly logits: (weights: never, images: Value) => Value;
    }
  | {
      readonly kind: 'text';
      readonly encode: (text: string) => readonly number[];
      readonly decode: (ids: readonly number[]) => string;
      readonly decoder: CausalDecoderConfig;
      readonly maxLength: number;
    };

/** What decides the examples. */
export interface TaskOptions {
  /** Images of each class, or texts. */
  readonly examples: number;
  readonly key: Key;
}

export type Rows = Readonly<Record<string, HostArray>>;
