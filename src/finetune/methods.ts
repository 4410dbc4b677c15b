/**
 * Every fine-tuning method by the name that the command line, cells and tables use. A name with
 * `flat-` before it is the same method under the perturbation of Eq. 7.
 *
 * A method is three things: a re-parametrisation (which parameters are trained), a loss transformer,
 * and an optimiser. Most are only the first.
 */
import { FlatloraError, type HostArray, type Key, type Loss } from '../autodiff/index.js';
import {
  type AdapterMethod,
  adaLora,
  biLora,
  corda,
  dora,
  efmLora,
  flat,
  fullFineTuning,
  galore,
  ggpo,
  layerCovariances,
  layerGradients,
  lora,
  loraGa,
  loraPlus,
  loraPro,
  lpfSgd,
  mgpo,
  type NoiseSchedule,
  nbar,
  obar,
  type PerturbedPart,
  pissa,
  rslora,
  sam,
  type Target,
} from '../flatlora/index.js';
import { type Backend, programRunner } from '../kernels/index.js';
import type { GradientTransformation } from '../optimisers/index.js';

/** Any tree of host arrays: the trained parameters of some method. */
export type HostTree = Readonly<Record<string, Readonly<Record<string, HostArray>>>>;

export interface MethodSettings {
  /** The peak of the schedule. */
  readonly learningRate: number;
  readonly targetModules: readonly Target[];
  /** 8 by default, as α is 16: Section 4.1 of the paper. */
  readonly rank?: number;
  readonly alpha?: number;
  /** σ of Eq. 7; 0 (the default) for no noise, but 0.05 for names with `flat-`. */
  readonly sigma?: number;
  /** What `flat` perturbs; `adapted` by default. */
  readonly on?: PerturbedPart;
  readonly schedule?: NoiseSchedule;
  /** The radius of SAM; by default the paper's best for each space. */
  readonly rho?: number;
  /** Options of single methods (LoRA+'s ratio, AdaLoRA's budget, …) by name. */
  readonly options?: Readonly<Record<string, number | string>>;
}

/** What methods may look at before they start: LoRA-GA asks for gradients, CorDA for activations. */
export interface Calibration {
  readonly backend: Backend;
  /** The task's loss, over weights. */
  readonly loss: Loss<unknown, unknown>;
  readonly base: unknown;
  /** A few batches of the training data. */
  readonly batches: readonly unknown[];
  readonly totalSteps: number;
  readonly key: Key;
}

export type LossTransformer = <P, X>(loss: Loss<P, X>) => Loss<P, X>;

export interface FineTuningMethod {
  readonly adapter: AdapterMethod<HostTree>;
  /** Applied to the adapted loss; the identity by default. */
  readonly objective?: LossTransformer;
  /** Instead of the adapter's own say on the optimiser. */
  readonly optimiser?: (
    inner: GradientTransformation,
    run: { readonly totalSteps: number },
  ) => GradientTransformation;
}

/** A method as it runs. */
export type PreparedMethod = Required<FineTuningMethod>;

type MakeMethod = (
  settings: MethodSettings,
  calibration: Calibration,
) => FineTuningMethod | Promise<FineTuningMethod>;

/** An adapter method of any tree as one of host arrays. */
const adapter = (method: unknown): FineTuningMethod => ({
  adapter: method as AdapterMethod<HostTree>,
});

const ranked = ({ rank = 8, alpha = 16, targetModules }: MethodSettings) => ({
  rank,
  alpha,
  targetModules,
});

/** ρ of the settings, where there is one: the methods have defaults of their own. */
const radius = ({ rho }: MethodSettings) => (rho === undefined ? {} : { rho });

/** An option of one method, where the settings have it. */
const option = <K extends string>({ options }: MethodSettings, name: K) =>
  (typeof options?.[name] === 'number' ? { [name]: options[name] } : {}) as { [k in K]?: number };

/** One line for each method. */
const METHODS: Readonly<Record<string, MakeMethod>> = {
  full: ({ targetModules }) => adapter(fullFineTuning({ targetModules })),
  lora: (settings) => adapter(lora(ranked(settings))),
  rslora: (settings) => adapter(rslora(ranked(settings))),
  'lora+': (s) => adapter(loraPlus({ ...ranked(s), ...option(s, 'ratio') })),
  'lora-pro': (settings) => adapter(loraPro(ranked(settings))),
  obar: (s) => adapter(obar({ ...ranked(s), ...option(s, 'strength') })),
  nbar: (s) => adapter(nbar({ ...ranked(s), ...option(s, 'strength') })),
  // Four subspaces in a run: the reference's 500 steps are more than most runs here have.
  galore: ({ targetModules, rank = 8, options }, { totalSteps }) =>
    adapter(
      galore({ targetModules, rank, gap: Number(options?.gap ?? Math.ceil(totalSteps / 4)) }),
    ),
  pissa: (settings) => adapter(pissa(ranked(settings))),
  dora: (settings) => adapter(dora(ranked(settings))),
  'lora-ga': async (s, { backend, loss, base, batches }) => {
    const runner = programRunner(backend);
    const gradients = await layerGradients(runner, loss, base, s.targetModules, batches);
    return adapter(loraGa({ ...ranked(s), ...option(s, 'gamma'), gradients }));
  },
  corda: async (s, { backend, loss, base, batches }) => {
    const runner = programRunner(backend);
    const covariances = await layerCovariances(runner, loss, base, s.targetModules, batches);
    return adapter(corda({ ...ranked(s), covariances }));
  },
  adalora: (s) => adapter(adaLora({ ...ranked(s), ...option(s, 'initialRank') })),
  'bi-lora': (s) => adapter(biLora({ ...ranked(s), ...radius(s) })),
  'efm-lora': (s) => adapter(efmLora({ ...ranked(s), ...radius(s), ...option(s, 'beta') })),
  ggpo: (s) => adapter(ggpo({ ...ranked(s), ...option(s, 'sigma'), ...option(s, 'beta') })),
  mgpo: (s) => adapter(mgpo({ ...ranked(s), ...radius(s), ...option(s, 'beta') })),
  'lpf-sgd': (s) => ({ ...adapter(lora(ranked(s))), objective: lpfSgd({ ...option(s, 'gamma') }) }),
  'lora-sam': (s) => ({ ...adapter(lora(ranked(s))), objective: sam({ ...radius(s) }) }),
  sam: (s) => ({ ...adapter(lora(ranked(s))), objective: sam({ over: 'weights', ...radius(s) }) }),
};

const FLAT = 'flat-';

/** The names that are there now, without their flat versions. */
export const methodNames: readonly string[] = Object.keys(METHODS);

/** Whether a name, with or without `flat-`, is there. */
export const hasMethod = (name: string): boolean =>
  METHODS[name.startsWith(FLAT) ? name.slice(FLAT.length) : name] !== undefined;

/**
 * A method, ready to train.
 * @param name such as `lora`, `flat-pissa`.
 * @throws FlatloraError 'argument' for a name that is not there.
 */
export async function prepareMethod(
  name: string,
  settings: MethodSettings,
  calibration: Calibration,
): Promise<PreparedMethod> {
  const isFlat = name.startsWith(FLAT);
  const make = METHODS[isFlat ? name.slice(FLAT.length) : name];
  if (make === undefined) {
    throw new FlatloraError(
      'argument',
      `method: given "${name}", expected one of ${methodNames.join(', ')}, or flat- and one of them`,
    );
  }
  const {
    adapter,
    objective = (loss) => loss,
    optimiser = adapter.optimiser,
  } = await make(settings, calibration);
  const { sigma = isFlat ? 0.05 : 0, on, schedule } = settings;
  const noise = flat({ sigma, ...(on && { on }), ...(schedule && { schedule }) });
  return { adapter, objective: (loss) => noise(objective(loss)), optimiser };
}

const LABELS: Readonly<Record<string, string>> = {
  full: 'Full fine-tuning',
  lora: 'LoRA',
  rslora: 'rsLoRA',
  'lora+': 'LoRA+',
  pissa: 'PiSSA',
  'lora-ga': 'LoRA-GA',
  dora: 'DoRA',
  adalora: 'AdaLoRA',
  'lora-pro': 'LoRA-Pro',
  obar: 'oBAR',
  nbar: 'nBAR',
  galore: 'GaLore',
  corda: 'CorDA',
  'lora-sam': 'SAM on A, B',
  sam: 'SAM on W',
  'bi-lora': 'Bi-LoRA',
  'efm-lora': 'EFMLoRA',
  ggpo: 'LoRA-GGPO',
  mgpo: 'LoRA-MGPO',
  'lpf-sgd': 'LPF-SGD',
};

/** What readers see: `flat-pissa` is "Flat-PiSSA". */
export const methodLabel = (name: string): string =>
  name.startsWith(FLAT) ? `Flat-${methodLabel(name.slice(FLAT.length))}` : (LABELS[name] ?? name);
