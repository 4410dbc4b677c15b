/**
 * Backends inside a browser: Debian's Chromium, headless, WebGPU and WebGL2 on SwiftShader, WebAssembly
 * with threads and without.
 * Left out, and said so, where there is no Chromium; FLATLORA_REQUIRE_BROWSER=1 makes that a failure.
 */
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Outcome } from './browser/page.js';

const CHROMIUM = process.env.FLATLORA_CHROMIUM || '/usr/bin/chromium';
const present = existsSync(CHROMIUM);
const required = (process.env.FLATLORA_REQUIRE_BROWSER ?? '') !== '';

const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-unsafe-swiftshader',
];

async function bundle(): Promise<string> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL('./browser/page.ts', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'silent',
  });
  return result.outputFiles[0]?.text as string;
}

/** With these headers a page may share memory between threads. */
const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

/**
 * Serves the page and its script, under /isolated with the isolation headers; WebGPU wants a secure
 * context, which localhost is.
 */
function serve(script: string): Promise<Server> {
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.writeHead(200, {
      'content-type': isScript ? 'text/javascript' : 'text/html',
      ...(request.url === '/isolated' && ISOLATION),
    });
    response.end(
      isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>',
    );
  });
  return new Promise((resolve) => {
    server.listen(0, 'localhost', () => resolve(server));
  });
}

if (!present && !required) {
  process.stdout.write(`browser tests left out: there is no ${CHROMIUM}\n`);
}

(present || required ? describe : describe.skip)('in Chromium', () => {
  let browser: Browser;
  let server: Server;
  let page: Page;
  let isolated: Page;
  const visit = async (path: string): Promise<Page> => {
    const visited = await browser.newPage();
    await visited.goto(`http://localhost:${(server.address() as AddressInfo).port}${path}`);
    await visited.waitForFunction('"conformance" in globalThis', undefined, { timeout: 30_000 });
    return visited;
  };

  beforeAll(async () => {
    server = await serve(await bundle());
    browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
    page = await visit('/');
    isolated = await visit('/isolated');
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  test.each([
    ['wasm', 'one thread', 2, 20],
    ['wasm', 'threads', 2, 20],
    ['gpujs-webasm', '', 3, 20],
    ['webgpu', '', 2, 20],
    ['gpujs-webgpu', '', 2, 10],
    ['gpujs-webgl2', '', 2, 10],
  ])(
    '%s %s agrees with the reference',
    async (name, how, cases, programs) => {
      const visited = how === 'threads' ? isolated : page;
      expect(await visited.evaluate('crossOriginIsolated')).toBe(how === 'threads');
      const outcome = (await visited.evaluate(
        `conformance(${JSON.stringify(name)}, ${cases}, ${programs})`,
      )) as Outcome;
      process.stdout.write(
        `Chromium, ${name} ${how}: ${outcome.checked} programs, greatest error ${outcome.worst.toExponential(1)}\n`,
      );
      expect(outcome.failures).toEqual([]);
      expect(outcome.checked).toBeGreaterThan(200);
      expect(outcome.leaked).toBe(0);
    },
    120_000,
  );

  test('the choice of a backend passes the software adapter over', async () => {
    const { name, reason } = (await page.evaluate('choice()')) as Record<string, string>;
    expect(name).toBe('wasm');
    expect(reason).toMatch(
      /webgpu: only a software adapter.*gpujs-webgpu: only a software adapter/,
    );
  });
});
