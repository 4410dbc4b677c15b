/** The tasks that can be fine-tuned, one line each. */
import { FlatloraError } from '../../autodiff/index.js';
import type { AnyArchitecture } from '../../huggingface/architecture.js';
import { causalLmTask } from './causalLm.js';
import { imageClassificationTask, textClassificationTask } from './classification.js';
import { seq2seqLmTask } from './seq2seqLm.js';
import type { TaskKind } from './types.js';

export { promptTokens } from './causalLm.js';
export * from './types.js';

const TASKS = [
  causalLmTask,
  seq2seqLmTask,
  imageClassificationTask,
  textClassificationTask,
] as readonly unknown[] as readonly TaskKind[];

/** How an architecture's task is trained. @throws FlatloraError where it cannot be. */
export function taskOf({ name, task }: Pick<AnyArchitecture, 'name' | 'task'>): TaskKind {
  const found = TASKS.find((kind) => kind.task === task);
  if (found === undefined) {
    throw new FlatloraError(
      'argument',
      `${name}: its task is ${task}, expected one of ${TASKS.map((kind) => kind.task).join(', ')}`,
    );
  }
  return found;
}
