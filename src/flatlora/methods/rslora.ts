/**
 * rsLoRA: LoRA whose scale does not fade with the rank.
 *
 *     h = W x + s·B A x,   s = α/√r   instead of α/r
 *
 * The size of what the adapter adds, and of its gradients, then does not depend on r.
 *
 * Reference: Kalajdzievski, "A rank stabilization scaling factor for fine-tuning with LoRA",
 * arXiv 2312.03732; `use_rslora` of PEFT.
 */
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { layerwise } from '../layerwise.js';
import { checkLora, type LoraOptions, type LoraPart, loraLayer } from './lora.js';

/** rsLoRA of one weight matrix; options and defaults are LoRA's (α = 16, r = 8). */
export function rsloraLayer(options: LoraOptions): LayerMethod<LoraPart> {
  const { rank = 8, alpha = 16, dropout = 0 } = options;
  return {
    ...loraLayer({ ...options, rank, alpha: alpha * Math.sqrt(rank) }),
    name: 'rslora',
    check: (path, shape) => checkLora(path, shape, { rank, alpha, dropout }),
  };
}

/** rsLoRA on the target modules of a tree of weights. */
export const rslora = (options: LoraOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(rsloraLayer(options));
