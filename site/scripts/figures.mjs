/**
 * Figures of the built site, measured in Chromium: script sizes, first paint, the longest task of the main
 * thread while two models train, steps a second by backend. `node site/scripts/figures.mjs [--json FILE]`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { preview } from 'vite';

const SITE = fileURLToPath(new URL('..', import.meta.url));
const DIST = path.join(SITE, 'dist');
const PAGES = ['index', 'explorer', 'book', 'reference'];
const LOADS = 7;
/** Backend, steps, whether the browser has WebGPU (on a software adapter), whether the page is isolated. */
const RUNS = [
  ['wasm', 400, false, true],
  ['wasm', 400, false, false],
  ['gpujs-webasm', 60, false, true],
  ['gpujs-webgl2', 20, false, true],
  ['webgpu', 50, true, true],
];

const FLAGS = ['--no-sandbox', '--disable-quic', '--no-first-run', '--enable-unsafe-swiftshader'];
const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const launch = (webgpu) =>
  chromium.launch({
    executablePath: process.env.FLATLORA_CHROMIUM || '/usr/bin/chromium',
    args: [...FLAGS, ...(webgpu ? WEBGPU : [])],
  });

const median = (xs) => [...xs].sort((a, b) => a - b)[xs.length >> 1];
const gzipped = (file) => gzipSync(readFileSync(path.join(DIST, file))).length;

/** Kilobytes of script and style that a page names in its HTML: what it needs before it shows. */
function sizes(page) {
  const html = readFileSync(path.join(DIST, `${page}.html`), 'utf8');
  const named = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.(js|css))"/g)];
  const of = (kind) =>
    named.filter((m) => m[2] === kind).reduce((n, m) => n + gzipped(m[1]), 0) / 1024;
  return { script: of('js'), style: of('css') };
}

async function firstPaint(browser, url) {
  const times = [];
  for (let i = 0; i < LOADS; i++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url);
    await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length);
    times.push(
      await page.evaluate(
        () => performance.getEntriesByName('first-contentful-paint')[0].startTime,
      ),
    );
    await context.close();
  }
  return median(times);
}

/** Trains to the end; what the status line said of speed, and the tasks over 50 ms on the way. */
async function train(url, [backend, steps, webgpu, isIsolated], watch) {
  const browser = await launch(webgpu);
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) globalThis.longTasks.push(duration);
    }).observe({ type: 'longtask' });
  });
  const query = isIsolated ? '' : '?isolate=off';
  await page.goto(`${url}${query}#backend=${backend}&steps=${steps}&watch=${watch}`);
  await page.waitForLoadState('networkidle');
  await page.evaluate(() => {
    globalThis.longTasks.length = 0;
  });
  await page.getByRole('button', { name: 'Train' }).click();
  const speeds = [];
  for (;;) {
    await page.waitForTimeout(250);
    const status = page.locator('[data-testid=status]');
    if ((await status.count()) === 0) continue;
    const [, speed] = /([\d.e+]+) steps a second/.exec((await status.textContent()) ?? '') ?? [];
    if (speed !== undefined) speeds.push(Number(speed));
    const phase = await status.getAttribute('data-phase');
    if (phase === 'failed') throw new Error(await page.locator('[role=alert]').textContent());
    if (phase === 'finished') break;
  }
  const longTasks = await page.evaluate(() => globalThis.longTasks);
  await browser.close();
  return { stepsPerSecond: median(speeds.slice(speeds.length >> 1)), longTasks };
}

const rows = (title, lines) => `\n${title}\n${lines.map((l) => `  ${l}`).join('\n')}`;

async function serve(isIsolated) {
  const headers = isIsolated ? undefined : {};
  const server = await preview({
    root: SITE,
    logLevel: 'error',
    preview: { port: 0, ...(headers && { headers }) },
  });
  return { url: server.resolvedUrls.local[0], close: () => server.close() };
}

const isolated = await serve(true);
const open = await serve(false);
const browser = await launch(false);
const pages = {};
for (const page of PAGES) {
  pages[page] = {
    ...sizes(page),
    firstPaintMs: await firstPaint(browser, `${isolated.url}${page}.html`),
  };
}
await browser.close();
const watched = await train(isolated.url, ['wasm', 200, false, true], 'surface');
const speeds = [];
for (const run of RUNS) {
  const [backend, steps, webgpu, isIsolated] = run;
  const { stepsPerSecond } = await train((isIsolated ? isolated : open).url, run, 'losses');
  speeds.push({
    backend,
    isIsolated,
    softwareGpu: webgpu || backend.endsWith('gl2'),
    steps,
    stepsPerSecond,
  });
}
await isolated.close();
await open.close();

const result = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus().length} × ${cpus()[0].model}`,
  pages,
  longestTaskMs: Math.max(0, ...watched.longTasks),
  tasksOver50Ms: watched.longTasks.length,
  speeds,
};
console.log(
  rows(
    'Pages: script, style (kB after gzip), first paint (ms, median of 7 cold loads)',
    PAGES.map(
      (p) =>
        `${p.padEnd(10)} ${pages[p].script.toFixed(1)}  ${pages[p].style.toFixed(1)}  ${pages[p].firstPaintMs.toFixed(0)}`,
    ),
  ),
  rows('Main thread while 200 steps train and surfaces are drawn', [
    `longest task ${result.longestTaskMs.toFixed(0)} ms, ${result.tasksOver50Ms} over 50 ms`,
  ]),
  rows(
    'Steps a second (each run’s; both count)',
    speeds.map(
      (s) =>
        `${s.backend.padEnd(14)} ${s.isIsolated ? 'isolated' : 'one thread'}${s.softwareGpu ? ', GPU in software' : ''}: ${s.stepsPerSecond}`,
    ),
  ),
);
const at = process.argv.indexOf('--json');
if (at > 0) writeFileSync(process.argv[at + 1], `${JSON.stringify(result, undefined, 1)}\n`);
process.exit(0);
