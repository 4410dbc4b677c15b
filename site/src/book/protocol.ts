/** What the book and its Worker say to each other. */
import type { ActivationsResult, RowSpaceResult, SmoothingResult } from './experiments.js';

export interface Results {
  readonly activations: ActivationsResult;
  readonly 'row-space': RowSpaceResult;
  readonly smoothing: SmoothingResult;
}

export type ExperimentName = keyof Results;

export interface ToWorker {
  readonly id: number;
  readonly name: ExperimentName;
  readonly options: Readonly<Record<string, number>>;
}

export type FromWorker =
  | { readonly id: number; readonly result: Results[ExperimentName] }
  | { readonly id: number; readonly problem: string };
