/** The command line. */

export interface BenchOptions {
  /** A work or the beginning of its name up to a slash; all by default. */
  readonly only: string | undefined;
  /** flatlora's backend; its own choice by default. */
  readonly backend: string | undefined;
  readonly gpu: boolean;
  readonly quick: boolean;
  /** Where the rows go besides the terminal. */
  readonly json: string | undefined;
  /** Folder of `bench.svg` and `bench.json`. */
  readonly out: string;
  readonly python: string | undefined;
  /** Threads for engines that take a number; all that the machine has by default. */
  readonly threads: number | undefined;
  /** Rounds of every work instead of as many as fit its time. */
  readonly rounds: number | undefined;
  readonly help: boolean;
}

export const HELP = `npm run bench -- [options]

  --only WORK       one work: matmul (or one case of it: matmul/512), mlp, attention, vit-lora,
                    vit-flat-lora, decoder-lora, decoder-flat-lora, flat, growth, peak
  --backend NAME    flatlora's backend; by default the one that it chooses by itself
  --device gpu      works for a graphics card: WebGPU against PyTorch on CUDA
  --quick           small sizes, few repeats: whether it works, not how fast
  --json FILE       write the rows { work, subject, peer, ratio, low, high, subjectMs, peerMs }
  --out DIR         folder of bench.svg and bench.json; out/bench by default
  --python PATH     the Python to look for PyTorch in
  --threads N       threads for engines that take a number; by default all that there are
  --rounds N        this many rounds of each work, instead of as many as fit some 20 seconds
  --help            this text
`;

const DEFAULTS: BenchOptions = {
  only: undefined,
  backend: undefined,
  gpu: false,
  quick: false,
  json: undefined,
  out: 'out/bench',
  python: undefined,
  threads: undefined,
  rounds: undefined,
  help: false,
};

/** @returns the options, or one line that says what is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions | string {
  let options = DEFAULTS;
  for (let i = 0; i < args.length; i++) {
    const name = args[i] as string;
    const flag = FLAGS[name];
    if (flag !== undefined) {
      options = { ...options, ...flag };
      continue;
    }
    const read = VALUES[name];
    if (read === undefined) return `unknown option ${name}; --help lists them`;
    const value = args[++i];
    if (value === undefined || value.startsWith('--')) return `${name} needs a value`;
    const change = read(value);
    if (typeof change === 'string') return `${name} is ${value}, expected ${change}`;
    options = { ...options, ...change };
  }
  return options;
}

const FLAGS: Readonly<Record<string, Partial<BenchOptions>>> = {
  '--quick': { quick: true },
  '--help': { help: true },
};

const count =
  (change: (n: number) => Partial<BenchOptions>) =>
  (text: string): Partial<BenchOptions> | string => {
    const n = Number(text);
    return Number.isInteger(n) && n > 0 ? change(n) : 'a positive integer';
  };

/** From a value to the change of the options, or to what was expected. */
const VALUES: Readonly<Record<string, (value: string) => Partial<BenchOptions> | string>> = {
  '--only': (only) => ({ only }),
  '--backend': (backend) => ({ backend }),
  '--json': (json) => ({ json }),
  '--out': (out) => ({ out }),
  '--python': (python) => ({ python }),
  '--device': (device) =>
    device === 'gpu' || device === 'cpu' ? { gpu: device === 'gpu' } : 'cpu or gpu',
  '--threads': count((threads) => ({ threads })),
  '--rounds': count((rounds) => ({ rounds })),
};
