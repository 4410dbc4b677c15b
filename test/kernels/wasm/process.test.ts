/**
 * Threads and the life of a process, in a process of its own: a bundle of the backend for browsers,
 * which also shows that bundlers find everything that it needs.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../../../', import.meta.url));

const SCRIPT = `
import { exp, floats, trace } from './src/autodiff/index.ts';
import { wasmBackend } from './src/kernels/wasm/backend.ts';

const backend = await wasmBackend({ threads: 2 });
const x = floats(Float64Array.from({ length: 100_000 }, (_, i) => i / 100_000));
const executable = await backend.compile(trace(exp, x));
const input = backend.upload(x);
// Nothing but the run itself keeps the process alive, and nothing at all after it.
let runs = 0;
const again = ([y]) => {
  runs += 1;
  backend.release(y);
  if (runs < 20) executable.run([input], [false]).then(again);
  else console.log('runs', runs);
};
executable.run([input], [false]).then(again);
process.on('exit', () => console.log('exit after', runs));
`;

test('a process lives while programs run and ends when they are done, with threads asleep', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'flatlora-'));
  try {
    const outfile = path.join(folder, 'bundle.mjs');
    await build({
      stdin: { contents: SCRIPT, resolveDir: root, loader: 'ts' },
      bundle: true,
      platform: 'browser',
      format: 'esm',
      minify: true,
      logLevel: 'silent',
      outfile,
    });
    const { stdout } = await promisify(execFile)(process.execPath, [outfile], { timeout: 30_000 });
    expect(stdout).toBe('runs 20\nexit after 20\n');
  } finally {
    await rm(folder, { recursive: true });
  }
});
