/** What a reader chooses, and its form in the page's address, so that a setting can be shared. */
import { hasMethod, methodNames } from '../../../src/finetune/methods.js';

export type ModelName = 'vit' | 'decoder';

export interface Settings {
  readonly model: ModelName;
  /** A name of `src/finetune/methods.ts`; it runs beside `flat-` and the same name. */
  readonly method: string;
  /** σ of Eq. 7 for the flat run. */
  readonly sigma: number;
  /** r; α is 2r. */
  readonly rank: number;
  /** Peak of a cosine schedule with 3 % warm-up. */
  readonly learningRate: number;
  /** Labelled images of each class, or texts of 48 tokens. */
  readonly examples: number;
  readonly steps: number;
  readonly seed: number;
  /** A backend's name, or `auto`: the fastest that works here. */
  readonly backend: string;
  /** What is looked at while training goes on. */
  readonly watch: Watch;
}

/** From everything to what costs nothing. */
export const WATCH_CHOICES = ['surface', 'sharpness', 'losses'] as const;
export type Watch = (typeof WATCH_CHOICES)[number];

export const DEFAULTS: Settings = {
  model: 'vit',
  method: 'lora',
  sigma: 0.15,
  rank: 8,
  learningRate: 0.003,
  examples: 10,
  steps: 200,
  seed: 1,
  backend: 'auto',
  watch: 'surface',
};

/** Learning rates and σ that suit the decoder; what a reader gets on choosing it. */
export const DECODER_DEFAULTS: Partial<Settings> = {
  sigma: 0.05,
  learningRate: 0.01,
  examples: 24,
  steps: 120,
};

export interface NumberField {
  readonly field: 'sigma' | 'rank' | 'learningRate' | 'examples' | 'steps' | 'seed';
  readonly label: string;
  readonly least: number;
  readonly most: number;
  readonly step: number | 'any';
  readonly whole: boolean;
}

export const NUMBER_FIELDS: readonly NumberField[] = [
  { field: 'sigma', label: 'σ of the noise', least: 0, most: 1, step: 0.01, whole: false },
  { field: 'rank', label: 'Rank r', least: 1, most: 32, step: 1, whole: true },
  {
    field: 'learningRate',
    label: 'Learning rate',
    least: 1e-5,
    most: 1,
    step: 'any',
    whole: false,
  },
  {
    field: 'examples',
    label: 'Labelled examples of each class',
    least: 1,
    most: 60,
    step: 1,
    whole: true,
  },
  { field: 'steps', label: 'Steps', least: 1, most: 2000, step: 1, whole: true },
  { field: 'seed', label: 'Seed', least: 0, most: 1e6, step: 1, whole: true },
];

/** Methods that need something a page does not have, by name. */
const NOT_HERE = new Set(['full']);

/** What can be chosen: each runs plain and under `flat`. */
export const METHOD_CHOICES: readonly string[] = methodNames.filter((name) => !NOT_HERE.has(name));

export const BACKEND_CHOICES = ['auto', 'webgpu', 'wasm', 'gpujs-webgl2', 'gpujs-webasm'] as const;

/** Settings with a sentence for each value that cannot be used; the default stands in for it. */
export interface ReadSettings {
  readonly settings: Settings;
  readonly problems: readonly string[];
}

/** Checks values that came from an address or a form. */
export function readSettings(given: Readonly<Record<string, string>>): ReadSettings {
  const problems: string[] = [];
  const start = given.model === 'decoder' ? { ...DEFAULTS, ...DECODER_DEFAULTS } : DEFAULTS;
  const made: Record<string, string | number> = { ...start };
  const choose = (field: keyof Settings, isKnown: (text: string) => boolean) => {
    const text = given[field];
    if (text === undefined) return;
    if (isKnown(text)) made[field] = text;
    else problems.push(`${field}: there is no "${text}"; ${made[field]} is used.`);
  };
  choose('model', (text) => text === 'vit' || text === 'decoder');
  choose('method', (text) => hasMethod(text) && METHOD_CHOICES.includes(text));
  choose('backend', (text) => (BACKEND_CHOICES as readonly string[]).includes(text));
  choose('watch', (text) => (WATCH_CHOICES as readonly string[]).includes(text));
  for (const { field, label, least, most, whole } of NUMBER_FIELDS) {
    const text = given[field];
    if (text === undefined) continue;
    const value = Number(text);
    if (text.trim() !== '' && value >= least && value <= most && (!whole || value % 1 === 0)) {
      made[field] = value;
    } else {
      const kind = whole ? 'a whole number' : 'a number';
      problems.push(
        `${label}: "${text}" is not ${kind} from ${least} to ${most}; ${made[field]} is used.`,
      );
    }
  }
  return { settings: made as unknown as Settings, problems };
}

/** `#model=decoder&rank=4` → settings; fields that the page does not know are passed over. */
export const settingsFromHash = (hash: string): ReadSettings =>
  readSettings(Object.fromEntries(new URLSearchParams(hash.replace(/^#/, ''))));

/** Only what differs from the defaults. */
export function hashOfSettings(settings: Settings): string {
  const start =
    settings.model === 'decoder' ? { ...DEFAULTS, ...DECODER_DEFAULTS, model: 'vit' } : DEFAULTS;
  const changed = Object.entries(settings).filter(
    ([field, value]) => start[field as keyof Settings] !== value,
  );
  return `#${new URLSearchParams(changed.map(([k, v]) => [k, String(v)])).toString()}`;
}
