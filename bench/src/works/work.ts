/** What a work is: named cases, each a job with its arrays, and how closely results must agree. */
import type { Spec } from '../harness/job.js';
import type { Tensor } from '../harness/tensors.js';

export interface Case {
  /** Such as `matmul/512`; `--only` takes a whole name or its beginning up to a slash. */
  readonly work: string;
  /** One line for people. */
  readonly about: string;
  readonly spec: Spec;
  readonly tensors: () => Readonly<Record<string, Tensor>>;
  /** Greatest difference of a result from ours, as a share of its root mean square. */
  readonly tolerance: number;
}

/** How much is measured, and on what. */
export interface Effort {
  /** Small sizes and few repeats: whether it works, not how fast. */
  readonly quick: boolean;
  /** Whether the works are those for a graphics card. */
  readonly gpu: boolean;
}

export const isSelected = (work: string, only: string | undefined): boolean =>
  only === undefined || work === only || work.startsWith(`${only}/`);
