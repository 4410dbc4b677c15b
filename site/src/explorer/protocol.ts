/** What the explorer and its Worker say to each other. */
import type { TapeView, TransformName } from './analyse.js';
import type { Language, PlanView } from './code.js';
import type { GradientView, RunView } from './run.js';

/** What is asked about a function. */
export type Question =
  | { readonly kind: 'tapes'; readonly transform: TransformName; readonly simplify: boolean }
  | {
      readonly kind: 'plan';
      readonly of: 'function' | 'transform';
      readonly transform: TransformName;
    }
  | {
      readonly kind: 'code';
      readonly of: 'function' | 'transform';
      readonly transform: TransformName;
      readonly language: Language;
    }
  | { readonly kind: 'run'; readonly seed: number; readonly backend: string };

export interface ToWorker {
  readonly id: number;
  readonly source: string;
  readonly question: Question;
}

export interface Ran {
  readonly values: RunView;
  /** Where the function gives one number; else why not. */
  readonly gradient: GradientView | string;
}

export type Reply =
  | {
      readonly kind: 'tapes';
      readonly own: TapeView;
      /** Or why the transform does not work. */
      readonly made: TapeView | string;
    }
  | { readonly kind: 'plan'; readonly plan: PlanView }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'run'; readonly ran: Ran };

export type FromWorker =
  | { readonly id: number; readonly reply: Reply }
  | { readonly id: number; readonly problem: string; readonly line: number | undefined };
