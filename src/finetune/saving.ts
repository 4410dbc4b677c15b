/** What a run leaves behind: an adapter in the layout of PEFT, or whole weights. */
import { orThrow } from '../autodiff/index.js';
import type { Pretrained } from '../huggingface/index.js';
import { copyCompanions, saveAdapter, saveModel } from '../huggingface/node/index.js';
import type { PreparedMethod } from './methods.js';
import { isAdapterMethod, peftFiles, type TrainedAdapter } from './peftFiles.js';

export interface Trained extends TrainedAdapter {
  /** The frozen base as the method has left it, on the host. */
  readonly base: unknown;
}

/** Writes an adapter folder, or a model folder for methods that train whole weights. */
export async function saveTrained(
  folder: string,
  model: Omit<Pretrained, 'weights'>,
  { adapter }: Pick<PreparedMethod, 'adapter'>,
  trained: Trained,
  baseModel: string,
): Promise<void> {
  if (isAdapterMethod(trained.method)) {
    orThrow(await saveAdapter(folder, orThrow(peftFiles(model, trained, baseModel)))());
    return;
  }
  const weights = orThrow(adapter.merge(trained.base, trained.adapters));
  orThrow(await saveModel(folder, { ...model, weights })());
  orThrow(await copyCompanions(baseModel, folder)());
}
