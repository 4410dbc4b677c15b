/** What a command is: one file under `commands/`, one line in `registry.ts`. */
import { readFile } from 'node:fs/promises';
import type { Command as Program } from 'commander';
import { FlatloraError } from '../autodiff/index.js';

/** Where a command speaks. */
export interface Io {
  /** Its result: as JSON, or by `text` for people. */
  readonly out: (result: object, text?: () => string) => void;
  /** Lines for people besides the result. */
  readonly err: (line: string) => void;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** How a flag's text becomes a value. */
export type FlagKind = 'text' | 'number' | 'list' | 'switch';

export interface Flag {
  /** The field of the settings: `learningRate` is `--learning-rate`. */
  readonly field: string;
  readonly kind: FlagKind;
  /** With the unit, and the default where there is one. */
  readonly help: string;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** A few command lines that do something. */
  readonly examples: readonly string[];
  readonly flags: readonly Flag[];
  /** Runs it; the number is the exit code. `given` has the flags' fields and those of the config file. */
  readonly run: (given: Readonly<Record<string, unknown>>, io: Io) => Promise<number>;
}

/** `learningRate` → `learning-rate` */
export const flagName = (field: string): string =>
  field.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

function numberOf(field: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) {
    throw new FlatloraError('argument', `--${flagName(field)}: given "${text}", expected a number`);
  }
  return value;
}

/** Adds a command's flags to a program of commander. */
export function declare(program: Program, { flags, examples }: Command): void {
  for (const { field, kind, help } of flags) {
    const name = `--${flagName(field)}`;
    switch (kind) {
      case 'switch':
        program.option(name, help);
        break;
      case 'number':
        program.option(`${name} <number>`, help, (text) => numberOf(field, text));
        break;
      case 'list':
        program.option(`${name} <names>`, help, (text) =>
          text
            .split(',')
            .map((part) => part.trim())
            .filter((part) => part !== ''),
        );
        break;
      default:
        program.option(`${name} <text>`, help);
    }
  }
  program.option('--config <file>', 'a JSON file with the same fields; flags come before it');
  program.option('--json', 'write the result as JSON, for scripts');
  program.addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`);
}

/** The flags that were given, on top of what the config file says. */
export async function settingsOf(
  flags: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, unknown>>> {
  const { config, json: _, ...given } = flags;
  if (typeof config !== 'string') return given;
  let content: unknown;
  try {
    content = JSON.parse(await readFile(config, 'utf8'));
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    throw new FlatloraError('argument', `--config ${config}: ${code ?? message}`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new FlatloraError('argument', `--config ${config}: holds no object`);
  }
  return { ...content, ...given };
}

/** Flags that several commands have. */
export const SHARED_FLAGS = {
  model: {
    field: 'model',
    kind: 'text',
    help: 'folder with config.json and model.safetensors, as Hugging Face writes it',
  },
  adapter: { field: 'adapter', kind: 'text', help: 'folder with an adapter in the layout of PEFT' },
  backend: {
    field: 'backend',
    kind: 'text',
    help: 'wasm, webgpu, reference or gpujs-webasm (default: the fastest that works here)',
  },
  threads: {
    field: 'threads',
    kind: 'number',
    help: 'threads of the wasm backend (default: cores)',
  },
  seed: { field: 'seed', kind: 'number', help: 'the key of all randomness (default: 0)' },
} as const satisfies Readonly<Record<string, Flag>>;

/** What examples are read from and how. */
export const DATA_FLAGS: readonly Flag[] = [
  {
    field: 'columns',
    kind: 'list',
    help: 'names of the columns of a .csv or .tsv whose first line is a row already',
  },
  {
    field: 'template',
    kind: 'text',
    help: 'what is read, with {field} for fields (default: the field text, prompt, …)',
  },
  { field: 'target', kind: 'text', help: 'what is to be written (default: response, output, …)' },
  { field: 'label', kind: 'text', help: 'the field with the class (default: label)' },
  { field: 'pair', kind: 'text', help: 'the field with a second text (default: sentence2, …)' },
  {
    field: 'maxLength',
    kind: 'number',
    help: 'tokens that are read at most (default: 512, or what the model takes)',
  },
  {
    field: 'maxTargetLength',
    kind: 'number',
    help: 'tokens that are written at most (default: 128)',
  },
];

/** A field that must be a text. */
export function required(given: Readonly<Record<string, unknown>>, field: string): string {
  const value = given[field];
  if (typeof value === 'string' && value !== '') return value;
  throw new FlatloraError('argument', `--${flagName(field)} is missing`);
}

/** The other fields a command knows; anything else is a mistake in the config file. */
export function onlyKnown(given: Readonly<Record<string, unknown>>, flags: readonly Flag[]): void {
  const known = flags.map(({ field }) => field);
  const odd = Object.keys(given).find((field) => !known.includes(field));
  if (odd !== undefined) {
    throw new FlatloraError(
      'argument',
      `${odd}: there is no such setting; there are ${known.join(', ')}`,
    );
  }
}
