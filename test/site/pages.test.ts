/** All pages: axe-core, widths, landmarks, offline, isolation without headers. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { describeInBrowser, launch, openPage } from './browser.js';
import { type Served, serveSite } from './serve.js';

const PAGES = ['index', 'explorer', 'book', 'reference'] as const;
/** What is there once a page has loaded what it loads by itself. */
const READY: Readonly<Record<(typeof PAGES)[number], string>> = {
  index: '.chart canvas',
  explorer: '.equation',
  book: 'article h1',
  reference: 'dl, summary',
};

const axe = () => {
  const site = createRequire(fileURLToPath(new URL('../../site/package.json', import.meta.url)));
  return readFileSync(site.resolve('axe-core/axe.min.js'), 'utf8');
};

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

const serious = async (page: Page): Promise<readonly string[]> => {
  await page.evaluate(axe());
  const { violations } = (await page.evaluate(
    '(async () => axe.run(document, { resultTypes: ["violations"] }))()',
  )) as { violations: readonly Violation[] };
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map((n) => n.html.slice(0, 120) + n.failureSummary).join(' | ')}`,
    );
};

describeInBrowser('the pages', () => {
  let served: Served;
  let browser: Browser;
  beforeAll(async () => {
    served = await serveSite({ isolated: true });
    browser = await launch({ webgpu: false });
  });
  afterAll(async () => {
    await browser.close();
    await served.close();
  });

  describe.each(PAGES)('%s', (name) => {
    test.each([
      [360, 'light'],
      [1440, 'dark'],
    ] as const)(
      'at %d px, %s: no serious issue, no sideways scrolling',
      async (width, colorScheme) => {
        const { page, complaints } = await openPage(browser, `${served.url}/${name}.html`, {
          viewport: { width, height: 800 },
          colorScheme,
        });
        await page.waitForSelector(READY[name]);
        expect(await serious(page)).toEqual([]);
        const wide = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(wide).toBeLessThanOrEqual(0);
        expect(complaints).toEqual([]);
        await page.close();
      },
      60_000,
    );

    test('the skip link comes first and leads to the content; landmarks and a heading are there', async () => {
      const { page } = await openPage(browser, `${served.url}/${name}.html`);
      await page.waitForSelector(READY[name]);
      await page.keyboard.press('Tab');
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe(
        'Skip to content',
      );
      await page.keyboard.press('Enter');
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('content');
      for (const role of ['banner', 'navigation', 'main', 'contentinfo'] as const) {
        expect(await page.getByRole(role).count()).toBeGreaterThan(0);
      }
      expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1);
      await page.close();
    }, 60_000);
  });

  test('asks nobody but its own host for anything', async () => {
    const page = await browser.newPage();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    for (const name of PAGES) {
      await page.goto(`${served.url}/${name}.html`);
      await page.waitForSelector(READY[name]);
    }
    const foreign = asked.filter(
      (url) => !/^(data|blob):/.test(url) && !url.startsWith(served.url),
    );
    expect(foreign).toEqual([]);
    await page.close();
  }, 60_000);
});

describeInBrowser('the service worker', () => {
  const onTestEnd: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of onTestEnd.splice(0)) await end();
  });

  test('a host without headers: isolated after one reload; then offline', async () => {
    const served = await serveSite({ isolated: false });
    const browser = await launch({ webgpu: false });
    onTestEnd.push(() => browser.close(), served.close);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${served.url}/index.html`);
    // Not to be asked before: asking counts as a reader's gesture, after which nothing is reloaded.
    await page.waitForEvent('load', { timeout: 30_000 });
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await page.waitForSelector('footer');
    expect(await page.locator('footer').textContent()).toContain('threads here');
    await served.close();
    for (const name of PAGES) {
      await page.goto(`${served.url}/${name}.html`);
      await page.waitForSelector(READY[name]);
    }
    // The engine works, too: a function is analysed, with nobody to ask.
    await page.goto(`${served.url}/explorer.html`);
    await page.getByRole('tab', { name: 'Run' }).click();
    await page.waitForSelector('[data-testid=gradient-error]', { timeout: 30_000 });
  }, 120_000);

  test('isolate=off is left alone: one thread, and the page says so', async () => {
    const served = await serveSite({ isolated: false });
    const browser = await launch({ webgpu: false });
    onTestEnd.push(() => browser.close(), served.close);
    const { page } = await openPage(browser, `${served.url}/index.html?isolate=off`);
    await page.waitForTimeout(1500);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
    expect(await page.locator('footer').textContent()).toContain('one thread');
  }, 60_000);
});
