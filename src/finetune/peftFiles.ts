/** What a method trained as the files of a PEFT adapter; nothing here needs Node. */

import type { Result } from '../autodiff/index.js';
import { fail } from '../autodiff/index.js';
import { isAuxiliary } from '../flatlora/index.js';
import {
  type Adapters,
  type PeftFiles,
  type PeftKind,
  type Pretrained,
  writePeft,
} from '../huggingface/index.js';
import type { HostTree } from './methods.js';

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

/** A trained adapter and what it was trained with. */
export interface TrainedAdapter {
  /** The method's name, with or without `flat-`. */
  readonly method: string;
  readonly alpha: number;
  /** At the start. */
  readonly start: HostTree;
  readonly adapters: HostTree;
}

/**
 * The content of adapter_config.json and adapter_model.safetensors.
 * @returns a problem for methods that train whole weights.
 */
export function peftFiles(
  { architecture, config }: Pick<Pretrained, 'architecture' | 'config'>,
  { method, alpha, start, adapters }: TrainedAdapter,
  baseModel?: string,
): Result<PeftFiles> {
  const name = method.replace(/^flat-/, '');
  const kind = KINDS[name];
  return kind === undefined
    ? fail('argument', `${method}: it trains whole weights, which are no adapter`)
    : writePeft(architecture, config, plainParts(adapters), {
        kind,
        alpha,
        ...(baseModel !== undefined && { baseModel }),
        ...(RESIDUAL.includes(name) && { start: plainParts(start) }),
      });
}
