/** The command line of `npm run paper`. */
import { parseArgs } from 'node:util';
import { FlatloraError } from '../autodiff/index.js';
import { readShard, type Shard } from './grid.js';

export type Command =
  | { readonly kind: 'run' | 'search'; readonly names: readonly string[] }
  | { readonly kind: 'merge'; readonly folders: readonly string[] }
  | { readonly kind: 'list' | 'help' };

export interface Options {
  readonly command: Command;
  readonly out: string;
  readonly quick: boolean;
  readonly seeds: number;
  readonly dataDir: string | undefined;
  readonly shard: Shard | undefined;
  readonly threads: number | undefined;
}

export const HELP = `flatlora: the paper's tables and figures at the scale of a laptop

  npm run paper -- NAME… | all [options]      run experiments, write a report
  npm run paper -- merge DIR… --out DIR       join what shards have done, write the report
  npm run paper -- search NAME                look for settings, as many trials for every method
  npm run paper -- list                       the experiments

  --out DIR      where results go (default: out/paper); a second start goes on where the first stopped
  --quick        few, short runs on data that is generated: does everything work?
  --seeds N      seeds of everything that is compared (default: 5, quick: 2)
  --data DIR     the directory with the data folders (default: $FLATLORA_DATA)
  --shard I/N    run part I of N only (from 1), without a report
  --threads N    runs at a time (default: one a core)
`;

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new FlatloraError('argument', `--${name}: given "${text}", expected a positive integer`);
  }
  return value;
}

function commandOf(words: readonly string[], help: boolean): Command {
  const [first, ...rest] = words;
  if (help || first === undefined) return { kind: 'help' };
  if (first === 'list') return { kind: 'list' };
  if (first !== 'merge' && first !== 'search') return { kind: 'run', names: words };
  if (rest.length === 0) {
    const expected = first === 'merge' ? 'the folders of shards' : 'an experiment';
    throw new FlatloraError('argument', `${first}: given nothing, expected ${expected}`);
  }
  return first === 'merge' ? { kind: 'merge', folders: rest } : { kind: 'search', names: rest };
}

/** @throws FlatloraError 'argument' for options that are unknown or out of range. */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): Options {
  let parsed: { values: Record<string, string | boolean | undefined>; positionals: string[] };
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        out: { type: 'string' },
        quick: { type: 'boolean' },
        seeds: { type: 'string' },
        data: { type: 'string' },
        shard: { type: 'string' },
        threads: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new FlatloraError('argument', (error as Error).message);
  }
  const text = (name: string) => parsed.values[name] as string | undefined;
  const quick = parsed.values.quick === true;
  const shard = text('shard');
  return {
    command: commandOf(parsed.positionals, parsed.values.help === true),
    out: text('out') ?? 'out/paper',
    quick,
    seeds: positive('seeds', text('seeds')) ?? (quick ? 2 : 5),
    dataDir: text('data') ?? (env.FLATLORA_DATA || undefined),
    shard: shard === undefined ? undefined : readShard(shard),
    threads: positive('threads', text('threads')),
  };
}
