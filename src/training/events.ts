/** What a training loop reports while it runs. */

export type Metrics = Readonly<Record<string, number>>;

export type TrainingEvent =
  | {
      readonly kind: 'started';
      /** Steps already done: 0, or those of the checkpoint that the run goes on from. */
      readonly step: number;
      readonly totalSteps: number;
      /** Damaged checkpoints that were passed over, with reasons; to be shown. */
      readonly passedOver: readonly string[];
    }
  | {
      readonly kind: 'step';
      /** The number of the step that is done, from 0. */
      readonly step: number;
      readonly totalSteps: number;
      /** Before the step's update, with the noise and dropout of training. */
      readonly loss: number;
      readonly gradientNorm: number;
    }
  | { readonly kind: 'evaluated'; readonly step: number; readonly metrics: Metrics }
  | { readonly kind: 'saved'; readonly step: number }
  | {
      readonly kind: 'finished';
      readonly reason: 'completed' | 'interrupted';
      /** Steps done. */
      readonly step: number;
      readonly totalSteps: number;
    }
  /** The run ends with the error that `train` throws next. */
  | { readonly kind: 'failed' };

/** Listens to a run; must not throw. */
export type TrainingObserver = (event: TrainingEvent) => void;

/** Several observers as one. */
export const observeAll =
  (...observers: readonly TrainingObserver[]): TrainingObserver =>
  (event) => {
    for (const observe of observers) observe(event);
  };
