/**
 * The playground in Chromium: the same curves as in Node on every backend, files, keys, mistakes.
 * FLATLORA_LONG=1 trains 50 steps everywhere; else fewer, and fewest on GPUs, which are in software and slow.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { adaptersOf } from '../../site/src/playground/adapterFiles.js';
import { digitsTask, readVitWeights } from '../../site/src/playground/digits.js';
import { openRuns, type Run } from '../../site/src/playground/session.js';
import { DEFAULTS, type Settings } from '../../site/src/playground/settings.js';
import { key, range } from '../../src/autodiff/index.js';
import { wasmBackend } from '../../src/kernels/index.js';
import { describeInBrowser, launch, openPage } from './browser.js';
import { type Served, serveSite } from './serve.js';

const isLong = (process.env.FLATLORA_LONG ?? '') !== '';
const STEPS = isLong ? 50 : 16;
const settings: Settings = { ...DEFAULTS, examples: 4, steps: STEPS };
const HASH = '#examples=4';
const weights = () =>
  readVitWeights(
    new Uint8Array(
      readFileSync(fileURLToPath(new URL('../../weights/vit-drawn.safetensors', import.meta.url))),
    ),
  );
const task = () => digitsTask(weights(), { examples: settings.examples, key: key(settings.seed) });

type Losses = readonly (readonly number[])[];

/** Losses of both runs in Node, on one thread of WebAssembly. */
async function trainedInNode(steps: number): Promise<Losses> {
  const backend = await wasmBackend({ threads: 1 });
  const runs = await openRuns(task(), { ...settings, steps }, backend);
  const [plain, flat] = runs as readonly [Run, Run];
  const losses: number[][] = [];
  for (const _ of range(steps)) losses.push([await plain.step(), await flat.step()]);
  await backend.dispose();
  return losses;
}

const known = new Map<number, Promise<Losses>>();
/** The same, done once for each number of steps. */
function inNode(steps: number): Promise<Losses> {
  const losses = known.get(steps) ?? trainedInNode(steps);
  known.set(steps, losses);
  return losses;
}

/** Trains to the end and reads the table of losses. */
async function inPage(page: Page): Promise<Losses> {
  await page.getByRole('button', { name: 'Train' }).click();
  await page.waitForSelector('[data-phase=finished], [role=alert]', { timeout: 380_000 });
  expect(await page.locator('[role=alert]').allTextContents()).toEqual([]);
  await page.locator('summary', { hasText: 'tables' }).click();
  await page.waitForSelector('[data-testid=losses] tbody tr');
  return page.$$eval('[data-testid=losses] tbody tr', (all) =>
    all.map((row) =>
      [...row.querySelectorAll('td')].slice(1).map((cell) => Number(cell.textContent)),
    ),
  );
}

describeInBrowser('the playground', () => {
  let [isolated, open]: [Served | undefined, Served | undefined] = [undefined, undefined];
  let [plain, gpu]: [Browser | undefined, Browser | undefined] = [undefined, undefined];
  beforeAll(async () => {
    isolated = await serveSite({ isolated: true });
    open = await serveSite({ isolated: false });
    plain = await launch({ webgpu: false });
    gpu = await launch({ webgpu: true });
  }, 60_000);
  afterAll(async () => {
    await plain?.close();
    await gpu?.close();
    await isolated?.close();
    await open?.close();
  });
  const at = (served: Served | undefined, hash: string, query = '') =>
    `${(served as Served).url}/index.html${query}${hash}`;

  test.each([
    ['WebAssembly with threads', 'wasm', true, false, STEPS],
    ['WebAssembly on one thread', 'wasm', false, false, STEPS],
    ['gpu.js on WebGL2', 'gpujs-webgl2', true, false, isLong ? STEPS : 2],
    ['WebGPU on a software adapter', 'webgpu', true, true, isLong ? STEPS : 3],
  ] as const)(
    '%s: the curve is the one of Node',
    async (_, backend, isIsolated, webgpu, steps) => {
      const browser = (webgpu ? gpu : plain) as Browser;
      const served = isIsolated ? isolated : open;
      const { page, complaints } = await openPage(
        browser,
        at(
          served,
          `${HASH}&steps=${steps}&watch=losses&backend=${backend}`,
          isIsolated ? '' : '?isolate=off',
        ),
      );
      const expected = await inNode(steps);
      const losses = await inPage(page);
      expect(await page.getAttribute('[data-testid=status]', 'data-backend')).toBe(backend);
      expect(losses).toHaveLength(steps);
      // Training amplifies rounding; the first steps agree closely, all of them roughly.
      losses.forEach((row, i) => {
        row.forEach((loss, k) => {
          const there = expected[i]?.[k] as number;
          expect(Math.abs(loss - there)).toBeLessThan(
            i < 10 ? 1e-3 * Math.max(1, there) : 0.05 + 0.1 * there,
          );
        });
      });
      expect(complaints).toEqual([]);
      await page.close();
    },
    400_000,
  );

  test('an adapter of the page is the adapter in Node', async () => {
    const { page } = await openPage(
      plain as Browser,
      at(isolated, `${HASH}&steps=${STEPS}&backend=wasm`),
    );
    await inPage(page);
    // The surface is there, and the keys turn it.
    const scene = page.locator('.scene canvas');
    await scene.waitFor();
    await page.waitForTimeout(1000);
    const before = await scene.screenshot();
    await page.locator('.scene').focus();
    for (const _ of range(3)) await page.keyboard.press('ArrowRight');
    await page.waitForTimeout(1000);
    expect((await scene.screenshot()).equals(before)).toBe(false);
    const files: { name: string; bytes: Uint8Array }[] = [];
    page.on('download', async (download) => {
      const bytes = new Uint8Array(readFileSync(await download.path()));
      files.push({ name: download.suggestedFilename(), bytes });
    });
    await page.getByRole('button', { name: 'Download' }).nth(1).click();
    while (files.length < 2) await page.waitForTimeout(100);
    const backend = await wasmBackend({ threads: 1 });
    const [, flat] = (await openRuns(task(), settings, backend)) as readonly [Run, Run];
    flat.setAdapters(adaptersOf(files, task(), await flat.adapters()));
    const { testLoss, accuracy } = await flat.measure();
    await backend.dispose();
    const cells = await page
      .locator('[data-testid=measured] tbody tr')
      .last()
      .locator('td')
      .allTextContents();
    expect(Number(cells[2])).toBeCloseTo(testLoss, 3);
    expect(cells[3]).toBe(`${(100 * (accuracy as number)).toFixed(1)} %`);
    // And back into the page: a file that is none is a sentence, and the page goes on.
    await page.setInputFiles('[name=adapter-flat]', [
      { name: 'adapter_config.json', mimeType: 'application/json', buffer: Buffer.from('{') },
      { name: 'adapter_model.safetensors', mimeType: 'x/y', buffer: Buffer.from([1, 2, 3]) },
    ]);
    await page.waitForSelector('[role=alert]');
    expect(await page.locator('[role=alert]').first().textContent()).toMatch(/safetensors|JSON/);
    await page.setInputFiles(
      '[name=adapter-plain]',
      files.map(({ name, bytes }) => ({ name, mimeType: 'x/y', buffer: Buffer.from(bytes) })),
    );
    await page.waitForFunction(
      (count) => document.querySelectorAll('[data-testid=measured] tbody tr').length > count,
      await page.locator('[data-testid=measured] tbody tr').count(),
    );
    await page.close();
  }, 120_000);

  test('every control by keyboard; pause, step, reset; a drawn digit is answered', async () => {
    const { page, complaints } = await openPage(
      plain as Browser,
      at(isolated, '#examples=4&steps=400&backend=wasm'),
    );
    const reached = new Set<string>();
    for (const _ of range(40)) {
      await page.keyboard.press('Tab');
      reached.add(
        await page.evaluate(() => {
          const element = document.activeElement as HTMLInputElement | null;
          return element?.name || element?.textContent?.slice(0, 20) || element?.tagName || '';
        }),
      );
    }
    for (const name of [
      'model',
      'method',
      'sigma',
      'rank',
      'learningRate',
      'examples',
      'steps',
      'seed',
      'backend',
      'watch',
      'Train',
      'One step',
      'Copy link',
      'weights',
      'images',
    ]) {
      expect([...reached]).toContain(name);
    }
    await page.getByRole('button', { name: 'One step' }).focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-phase=paused]', { timeout: 30_000 });
    await page.waitForFunction(() =>
      /step 1;/.test(document.querySelector('[data-testid=status]')?.textContent ?? ''),
    );
    await page.getByRole('button', { name: 'Train' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.waitForSelector('[data-phase=paused]');
    await page.getByRole('application').focus();
    await page.keyboard.press(' ');
    for (const _ of range(8)) await page.keyboard.press('ArrowDown');
    await page.waitForSelector('.bars');
    const shares = await page.locator('.bars').first().locator('.number').allTextContents();
    expect(shares).toHaveLength(10);
    const sum = shares.reduce((n, text) => n + Number.parseFloat(text), 0);
    expect(Math.abs(sum - 100)).toBeLessThan(6);
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.waitForFunction(() =>
      /step 0;/.test(document.querySelector('[data-testid=status]')?.textContent ?? ''),
    );
    expect(complaints).toEqual([]);
    await page.close();
  }, 90_000);

  test('a setting that cannot be is a sentence; so is a backend that is not there', async () => {
    const { page } = await openPage(plain as Browser, at(isolated, '#rank=99&backend=webgpu'));
    expect(await page.locator('[role=alert]').textContent()).toBe(
      'Rank r: "99" is not a whole number from 1 to 32; 8 is used.',
    );
    await page.getByRole('button', { name: 'Train' }).click();
    await page.locator('[role=alert]', { hasText: 'webgpu' }).waitFor({ timeout: 30_000 });
    await page.selectOption('[name=backend]', 'wasm');
    await page.fill('[name=steps]', '10');
    await page.locator('[name=steps]').dispatchEvent('change');
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.waitForSelector('[data-phase=paused]', { timeout: 30_000 });
    expect(page.url()).toContain('backend=wasm');
    await page.close();
  }, 90_000);

  test('the decoder learns a text of the reader’s and goes on with a beginning', async () => {
    const { page } = await openPage(
      plain as Browser,
      at(isolated, '#model=decoder&steps=20&backend=wasm'),
    );
    await page.fill('[name=text]', 'too short to learn');
    await page.locator('[name=text]').dispatchEvent('change');
    await page.getByRole('button', { name: 'Train' }).click();
    await page.locator('[role=alert]', { hasText: 'letters' }).waitFor({ timeout: 30_000 });
    await page.fill('[name=text]', '');
    await page.locator('[name=text]').dispatchEvent('change');
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.waitForSelector('[data-phase=paused]', { timeout: 60_000 });
    await page.getByRole('button', { name: 'Train' }).click();
    await page.waitForSelector('[data-phase=finished]', { timeout: 90_000 });
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.waitForSelector('.written');
    expect((await page.locator('.written').first().textContent())?.length).toBeGreaterThan(10);
    await page.close();
  }, 180_000);
});
