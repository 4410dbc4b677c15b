/** What a run leaves behind: an adapter in the layout of PEFT, or whole weights. */
import { orThrow } from '../autodiff/index.js';
import { isAuxiliary } from '../flatlora/index.js';
import { type Adapters, type PeftKind, type Pretrained, writePeft } from '../huggingface/index.js';
import { copyCompanions, saveAdapter, saveModel } from '../huggingface/node/index.js';
import type { HostTree, PreparedMethod } from './methods.js';

/** How PEFT knows what a method trains: by name, without `flat-`. */
const KINDS: Readonly<Record<string, PeftKind | undefined>> = {
  lora: 'lora',
  'lora+': 'lora',
  'lora-pro': 'lora',
  obar: 'lora',
  nbar: 'lora',
  pissa: 'lora',
  'lora-ga': 'lora',
  corda: 'lora',
  'lora-sam': 'lora',
  sam: 'lora',
  'bi-lora': 'lora',
  'efm-lora': 'lora',
  ggpo: 'lora',
  mgpo: 'lora',
  'lpf-sgd': 'lora',
  rslora: 'rslora',
  dora: 'dora',
  adalora: 'adalora',
};

/** Methods whose base gives up what they start with. */
const RESIDUAL = ['pissa', 'lora-ga', 'corda'];

/** Whether a method's result is an adapter; else it is whole weights. */
export const isAdapterMethod = (method: string): boolean =>
  KINDS[method.replace(/^flat-/, '')] !== undefined;

/**
 * Whether a method looks at the weights' numbers on the host when it starts or ends, and not at their
 * shapes alone: it trains them, takes something out of them, or begins with their lengths.
 */
export const looksAtWeights = (method: string): boolean => {
  const name = method.replace(/^flat-/, '');
  return !isAdapterMethod(method) || RESIDUAL.includes(name) || name === 'dora';
};

/** The arrays that are an adapter's, without what a method remembers beside them. */
const plainParts = (adapters: HostTree): Adapters =>
  Object.fromEntries(
    Object.entries(adapters).map(([path, layer]) => [
      path,
      Object.fromEntries(Object.entries(layer).filter(([part]) => !isAuxiliary(part))),
    ]),
  );

export interface Trained {
  readonly method: string;
  readonly alpha: number;
  /** The frozen base as the method has left it, on the host. */
  readonly base: unknown;
  /** At the start. */
  readonly start: HostTree;
  readonly adapters: HostTree;
}

/** Writes an adapter folder, or a model folder for methods that train whole weights. */
export async function saveTrained(
  folder: string,
  model: Omit<Pretrained, 'weights'>,
  { adapter }: Pick<PreparedMethod, 'adapter'>,
  { method, alpha, base, start, adapters }: Trained,
  baseModel: string,
): Promise<void> {
  const name = method.replace(/^flat-/, '');
  const kind = KINDS[name];
  if (kind === undefined) {
    const weights = orThrow(adapter.merge(base, adapters));
    orThrow(await saveModel(folder, { ...model, weights })());
    orThrow(await copyCompanions(baseModel, folder)());
    return;
  }
  const files = orThrow(
    writePeft(model.architecture, model.config, plainParts(adapters), {
      kind,
      alpha,
      baseModel,
      ...(RESIDUAL.includes(name) && { start: plainParts(start) }),
    }),
  );
  orThrow(await saveAdapter(folder, files)());
}
