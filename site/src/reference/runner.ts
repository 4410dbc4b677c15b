/** The Worker in which an example runs: its imports are the library, its console is the page's. */
import { transform } from 'sucrase';

/** What programs may import. */
const MODULES: Readonly<Record<string, () => Promise<unknown>>> = {
  flatlora: () => import('../../../src/index.js'),
  'flatlora/autodiff': () => import('../../../src/autodiff/index.js'),
  'flatlora/checkpoints': () => import('../../../src/checkpoints/index.js'),
  'flatlora/data': () => import('../../../src/data/portable.js'),
  'flatlora/flatlora': () => import('../../../src/flatlora/index.js'),
  'flatlora/generation': () => import('../../../src/generation/index.js'),
  'flatlora/huggingface': () => import('../../../src/huggingface/index.js'),
  'flatlora/kernels': () => import('../../../src/kernels/index.js'),
  'flatlora/models': () => import('../../../src/models/index.js'),
  'flatlora/optimisers': () => import('../../../src/optimisers/index.js'),
  'flatlora/tokenizers': () => import('../../../src/tokenizers/index.js'),
  'flatlora/training': () => import('../../../src/training/index.js'),
  'fp-ts/lib/function.js': () => import('fp-ts/lib/function.js'),
};

export type FromRunner =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'problem'; readonly sentence: string };

const say = (message: FromRunner): void => postMessage(message);

const shown = (x: unknown): string =>
  typeof x === 'string'
    ? x
    : typeof x === 'object' && x !== null
      ? JSON.stringify(x, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v as never) : v), 1)
      : String(x);

const print = (...parts: readonly unknown[]): void =>
  say({ kind: 'line', text: parts.map(shown).join(' ') });

async function run(source: string): Promise<void> {
  const { code } = transform(source, { transforms: ['imports'] });
  const wanted = new Set([...code.matchAll(/require\('([^']+)'\)/g)].map(([, s]) => s as string));
  const loaded = new Map<string, unknown>();
  for (const specifier of wanted) {
    const load = MODULES[specifier];
    if (load === undefined) throw new Error(`there is no ${specifier} in a page`);
    loaded.set(specifier, await load());
  }
  const AsyncFunction = (async () => undefined).constructor as new (
    ...args: readonly string[]
  ) => (...args: readonly unknown[]) => Promise<void>;
  await new AsyncFunction('require', 'exports', 'console', code)(
    (specifier: string) => loaded.get(specifier),
    {},
    { log: print, error: print, table: print, warn: print },
  );
}

addEventListener('message', ({ data }: MessageEvent<string>) => {
  run(data).then(
    () => say({ kind: 'done' }),
    (thrown: unknown) => {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      say({ kind: 'problem', sentence: text.split('\n')[0] as string });
    },
  );
});
