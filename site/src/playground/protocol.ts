/** What the page and its Worker say to each other. */
import type { Answer } from './answer.js';
import type { Measured, RunName, Surface } from './session.js';
import type { Settings } from './settings.js';

/** A file of the reader's, as bytes. */
export interface NamedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What is trained on besides what the page brings along. */
export interface OwnFiles {
  /** Weights of the same shape in place of the committed ones (safetensors). */
  readonly weights?: NamedFile;
  /** IDX: images, and their labels. */
  readonly images?: NamedFile;
  readonly labels?: NamedFile;
  /** Text for the decoder. */
  readonly text?: string;
}

export type ToWorker =
  | { readonly kind: 'open'; readonly settings: Settings; readonly files: OwnFiles }
  | { readonly kind: 'run' }
  | { readonly kind: 'pause' }
  /** One step of both runs. */
  | { readonly kind: 'step' }
  | { readonly kind: 'ask'; readonly question: Float32Array | string }
  | { readonly kind: 'download'; readonly run: RunName }
  | { readonly kind: 'upload'; readonly run: RunName; readonly files: readonly NamedFile[] };

/** Losses of a step, in the order plain, flat. */
export interface StepLosses {
  readonly step: number;
  readonly losses: readonly [number, number];
}

export type FromWorker =
  | {
      readonly kind: 'opened';
      readonly backend: string;
      /** Why this one, and not a faster one. */
      readonly reason: string;
      readonly labels: readonly [string, string];
      readonly trained: number;
    }
  | { readonly kind: 'state'; readonly running: boolean; readonly finished: boolean }
  | {
      readonly kind: 'steps';
      readonly steps: readonly StepLosses[];
      /** Of both runs together. */
      readonly perSecond: number;
    }
  | { readonly kind: 'measured'; readonly run: RunName; readonly measured: Measured }
  | { readonly kind: 'surface'; readonly run: RunName; readonly surface: Surface }
  | { readonly kind: 'answer'; readonly run: RunName; readonly answer: Answer }
  | { readonly kind: 'files'; readonly run: RunName; readonly files: readonly NamedFile[] }
  /** What went wrong, in a sentence; `fatal` when the session is over. */
  | { readonly kind: 'problem'; readonly sentence: string; readonly fatal: boolean }
  | { readonly kind: 'note'; readonly sentence: string };
