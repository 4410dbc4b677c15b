/**
 * The built library in browsers: it bundles without Node's modules or stand-ins for them, an app carries
 * only what it uses, and one file works from a plain `<script type="module">`. Needs `npm run build`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { describeInBrowser, launch, openPage } from '../site/browser.js';
import { serveSite } from '../site/serve.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Rooms that read and write files. */
const NEEDS_NODE = /\/node$|^\.\/(finetune|package\.json|browser)$/;
const { exports } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>;
};
const rooms = Object.keys(exports)
  .filter((subpath) => !NEEDS_NODE.test(subpath))
  .map((subpath) => path.posix.join('flatlora', subpath));

interface Bundle {
  readonly text: string;
  readonly gzipBytes: number;
  /** Packages and rooms of this library that are in it. */
  readonly holds: ReadonlySet<string>;
}

/** As any bundler for browsers would; a Node module that is left fails. */
async function bundle(contents: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: ROOT },
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    metafile: true,
    logLevel: 'silent',
  });
  const [{ text, contents: bytes }] = outputFiles as unknown as [(typeof outputFiles)[0]];
  const [{ inputs }] = Object.values(metafile.outputs) as unknown as [
    (typeof metafile.outputs)[string],
  ];
  const holds = Object.entries(inputs)
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([file]) => /(?:node_modules|^dist)\/([^/]+)/.exec(file)?.[1] ?? file);
  return { text, gzipBytes: gzipSync(bytes).length, holds: new Set(holds) };
}

test.each([
  // What an app imports, the rooms that may be in it, kilobytes after gzip.
  [
    'the engine alone',
    `import { floats, grad, mul, reduceSum } from 'flatlora/autodiff';
     console.log(floats, grad, mul, reduceSum);`,
    ['autodiff'],
    25,
  ],
  [
    'the engine on WebAssembly',
    `import { grad } from 'flatlora/autodiff';
     import { compile, wasmBackend } from 'flatlora/kernels';
     console.log(grad, compile, wasmBackend);`,
    ['autodiff', 'kernels'],
    75,
  ],
  [
    'Flat-LoRA without a model',
    `import { adapt, flat, lora } from 'flatlora/flatlora'; console.log(adapt, flat, lora);`,
    ['autodiff', 'flatlora', 'optimisers'],
    35,
  ],
])('%s carries only what it uses', async (_, app, allowed, kilobytes) => {
  const { holds, gzipBytes } = await bundle(app);
  const ours = [...holds].filter((name) => Object.hasOwn(exports, `./${name}`));
  expect(ours.sort()).toEqual(allowed);
  expect(holds).not.toContain('gpu.js');
  expect(gzipBytes).toBeLessThan(1024 * kilobytes);
});

test('whoever takes the choice of backends gets gpu.js too', async () => {
  const { holds } = await bundle(
    `import { autoBackend } from 'flatlora/kernels'; console.log(autoBackend);`,
  );
  expect(holds).toContain('gpu.js');
});

/** A page that takes a gradient and starts an adapter, on WebAssembly. */
const PROGRAM = `
import { compile, download, floats, key, lora, mean, orThrow, square, sub, valueAndGrad,
  wasmBackend } from './flatlora.js';
const base = { layer: floats([1, 2, 3, 4, 5, 6], [2, 3]) };
const { adapters } = orThrow(lora({ rank: 1, alpha: 2, targetModules: ['layer'] }).init(base, key(1)));
const backend = await wasmBackend();
const slope = compile(valueAndGrad((y) => mean(square(sub(y, 1)))), backend);
const { value, gradient } = await download(backend, await slope(floats([1, 2, 3], [3])));
const numbers = [value, gradient].map(({ data }) => Array.from(data, (x) => x.toFixed(3)).join());
document.title = [Object.keys(adapters).join(), ...numbers].join(' ');
`;

describeInBrowser('in Chromium', () => {
  test('every room loads, and one file serves a plain script', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'flatlora-'));
    const page = (script: string) => `<!doctype html><script type="module">${script}</script>`;
    writeFileSync(path.join(folder, 'plain.html'), page(PROGRAM));
    writeFileSync(
      path.join(folder, 'flatlora.js'),
      readFileSync(path.join(ROOT, 'dist/browser/flatlora.js')),
    );
    for (const [i, room] of rooms.entries()) {
      const { text } = await bundle(`import * as room from '${room}'; globalThis.room = room;`);
      writeFileSync(path.join(folder, `room${i}.js`), text);
      writeFileSync(
        path.join(folder, `room${i}.html`),
        page(
          `import './room${i}.js'; document.title = Object.keys(globalThis.room).length + ' names';`,
        ),
      );
    }
    const served = await serveSite({ isolated: true, folder });
    const browser = await launch({ webgpu: false });
    const titles: string[] = [];
    const problems: string[] = [];
    for (const name of ['plain', ...rooms.keys()]) {
      const file = name === 'plain' ? name : `room${name}`;
      const { page: opened, complaints } = await openPage(browser, `${served.url}/${file}.html`);
      const isThere = (words: number) => document.title.split(' ').length >= words;
      await opened
        .waitForFunction(isThere, 2, { timeout: 10_000 })
        .catch(() => complaints.push(`${name}: nothing came`));
      titles.push(await opened.title());
      problems.push(...complaints.filter((text) => !text.includes('404')));
      await opened.close();
    }
    await browser.close();
    await served.close();
    rmSync(folder, { recursive: true });
    expect(problems).toEqual([]);
    const [plain, ...counts] = titles;
    expect(plain).toBe('layer 1.667 0.000,0.667,1.333');
    for (const count of counts) expect(Number.parseInt(count, 10)).toBeGreaterThan(3);
    expect(counts).toHaveLength(rooms.length);
  }, 120_000);
});
