/** Exit codes, and how a problem becomes one line on the error stream. */
import type { ProblemKind } from '../autodiff/index.js';

/** What the shell is told. `docs/cli.md` has this table. */
export const EXIT = {
  ok: 0,
  /** Something that should not happen. */
  failure: 1,
  /** A flag, a setting or an argument. */
  usage: 2,
  /** A file of data. */
  data: 3,
  /** A model, an adapter or a checkpoint. */
  checkpoint: 4,
  /** No backend, or not enough memory. */
  backend: 5,
  /** Training came to a number that is none. */
  notFinite: 6,
  /** Ctrl-C; the run can be gone on with. */
  interrupted: 130,
} as const;

const OF_KIND: Readonly<Record<ProblemKind, number>> = {
  argument: EXIT.usage,
  'target-modules': EXIT.usage,
  data: EXIT.data,
  checkpoint: EXIT.checkpoint,
  shape: EXIT.checkpoint,
  dtype: EXIT.checkpoint,
  tree: EXIT.checkpoint,
  backend: EXIT.backend,
  memory: EXIT.backend,
  'not-finite': EXIT.notFinite,
};

/** The code and the line of whatever was thrown. */
export function exitOf(thrown: unknown): { readonly code: number; readonly line: string } {
  const error = thrown as { readonly kind?: ProblemKind; readonly message?: string } | undefined;
  const line = String(error?.message ?? thrown).replace(/\s*\n\s*/g, ' ');
  const code = error?.kind === undefined ? undefined : OF_KIND[error.kind];
  return { code: code ?? EXIT.failure, line };
}
