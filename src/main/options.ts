/** The command line of the main job. */
import { parseArgs } from 'node:util';
import { FlatloraError } from '../autodiff/index.js';

export interface Options {
  readonly out: string;
  readonly seeds: number;
  readonly quick: boolean;
  readonly dataDir: string | undefined;
  readonly offline: boolean;
  readonly backend: string | undefined;
  readonly threads: number | undefined;
}

export const HELP = `flatlora: full fine-tuning, LoRA and Flat-LoRA of a vision transformer, side by side

  npm start -- [options]

  --out DIR        where results go (default: out); a second start goes on where the first stopped
  --seeds N        runs of each method (default: 5, quick: 2)
  --quick          fewer and shorter runs, about ten seconds on two cores
  --data DIR       a directory with optdigits/ and semeion/ (default: $FLATLORA_DATA)
  --offline        do not try to download the data; draw digits instead
  --backend NAME   such as wasm, webgpu, gpujs-webasm (default: the fastest that works)
  --threads N      runs at a time (default: one a core)
  --help           this text
`;

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new FlatloraError('argument', `--${name}: given "${text}", expected a positive integer`);
  }
  return value;
}

/** Options, or `undefined` when help was asked for. */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): Options | undefined {
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        out: { type: 'string' },
        seeds: { type: 'string' },
        quick: { type: 'boolean' },
        data: { type: 'string' },
        offline: { type: 'boolean' },
        backend: { type: 'string' },
        threads: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new FlatloraError('argument', (error as Error).message);
  }
  if (values.help === true) return undefined;
  const text = (name: string) => values[name] as string | undefined;
  const quick = values.quick === true;
  return {
    out: text('out') ?? 'out',
    quick,
    seeds: positive('seeds', text('seeds')) ?? (quick ? 2 : 5),
    dataDir: text('data') ?? (env.FLATLORA_DATA || undefined),
    offline: values.offline === true,
    backend: text('backend'),
    threads: positive('threads', text('threads')),
  };
}
