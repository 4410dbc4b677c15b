/**
 * The methods that the main job compares. Their settings are those that `tune.ts` found best on the
 * validation split (`docs/tuning.json`: two other seeds, 200 steps), with one tie broken so that LoRA
 * and Flat-LoRA differ in σ alone.
 */
import { pipe } from 'fp-ts/lib/function.js';
import type { HostArray, Loss } from '../autodiff/index.js';
import { type AdapterMethod, adapt, flat, fullFineTuning, lora } from '../flatlora/index.js';
import { TARGET_MODULES } from './model.js';

export type MethodName = 'full' | 'lora' | 'flat-lora';

export interface MethodSettings {
  readonly learningRate: number;
  readonly rank: number;
  readonly alpha: number;
  /** σ of Eq. 7; 0 for methods without noise. */
  readonly sigma: number;
}

export interface Method {
  readonly name: MethodName;
  readonly label: string;
  readonly settings: MethodSettings;
}

const SHARED = { rank: 8, alpha: 16 };

export const METHODS: readonly Method[] = [
  {
    name: 'full',
    label: 'Full fine-tuning',
    settings: { learningRate: 1e-3, sigma: 0, ...SHARED },
  },
  { name: 'lora', label: 'LoRA', settings: { learningRate: 1e-2, sigma: 0, ...SHARED } },
  {
    name: 'flat-lora',
    label: 'Flat-LoRA',
    settings: { learningRate: 1e-2, sigma: 0.15, ...SHARED },
  },
];

/** The fine-tuning method behind a name. */
export const adapterOf = (
  name: MethodName,
  { rank, alpha }: MethodSettings,
): AdapterMethod<HostTree> =>
  (name === 'full'
    ? fullFineTuning<HostTree>()
    : lora({ rank, alpha, targetModules: TARGET_MODULES })) as AdapterMethod<HostTree>;

/** Any tree of host arrays. */
export type HostTree = Readonly<Record<string, Readonly<Record<string, HostArray>>>>;

/** The loss that a method minimises, over what it trains. */
export const objective = <W, X>(
  base: unknown,
  adapter: AdapterMethod<HostTree>,
  { sigma }: MethodSettings,
  loss: Loss<W, X>,
) => pipe(loss, adapt(base, adapter), flat({ sigma }));
