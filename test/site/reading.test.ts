/** Explorer, book and reference in Chromium: what a reader points at, drags, types and runs. */
import type { Browser, Page } from 'playwright-core';
import { describeInBrowser, launch, openPage } from './browser.js';
import { type Served, serveSite } from './serve.js';

describeInBrowser('reading', () => {
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
  const visit = (name: string, hash = '') => openPage(browser, `${served.url}/${name}.html${hash}`);

  describe('the explorer', () => {
    const type = async (page: Page, code: string) => {
      await page.locator('.cm-content').click();
      await page.keyboard.press('Control+A');
      await page.keyboard.insertText(code);
    };

    test('an equation and its counterparts light up, by pointer and by focus', async () => {
      const { page, complaints } = await visit('explorer');
      const own = page.locator('.tape').nth(0).locator('.equation');
      const made = page.locator('.tape').nth(1).locator('.equation[data-lit=true]');
      await own.nth(0).waitFor();
      expect(await made.count()).toBe(0);
      await own.nth(0).hover();
      expect(await made.count()).toBeGreaterThan(0);
      expect(new Set(await made.evaluateAll((all) => all.map((e) => e.dataset.origin)))).toEqual(
        new Set([await own.nth(0).getAttribute('data-origin')]),
      );
      await own.nth(1).focus();
      expect(await own.nth(1).getAttribute('aria-pressed')).toBe('true');
      expect(await own.nth(0).getAttribute('aria-pressed')).toBe('false');
      expect(complaints).toEqual([]);
      await page.close();
    }, 30_000);

    test('tabs by keyboard; the gradient is that of differences; code in three languages', async () => {
      const { page, complaints } = await visit('explorer');
      await page.locator('.equation').first().waitFor();
      await page.getByRole('tab', { name: 'Tapes' }).focus();
      await page.keyboard.press('End');
      expect(await page.getByRole('tab', { name: 'Run' }).getAttribute('aria-selected')).toBe(
        'true',
      );
      await page.locator('[data-testid=gradient-error]').waitFor({ timeout: 30_000 });
      expect(Number(await page.locator('[data-testid=gradient-error]').textContent())).toBeLessThan(
        1e-6,
      );
      expect(Number(await page.locator('[data-testid=backend-error]').textContent())).toBeLessThan(
        1e-5,
      );
      await page.keyboard.press('ArrowLeft');
      for (const [language, sign] of [
        ['wgsl', '@compute'],
        ['gpujs', 'this.thread.x'],
        ['wasm', '(func'],
      ] as const) {
        await page.selectOption('[name=language]', language);
        await page.locator('[data-testid=code]', { hasText: sign }).waitFor({ timeout: 30_000 });
      }
      await page.keyboard.press('Escape');
      await page.getByRole('tab', { name: 'Code' }).focus();
      await page.keyboard.press('ArrowLeft');
      expect(await page.getByRole('tab', { name: 'Plan' }).getAttribute('aria-selected')).toBe(
        'true',
      );
      expect(complaints).toEqual([]);
      await page.close();
    }, 60_000);

    test('a function that does not trace, and one that never ends, are sentences', async () => {
      const { page } = await visit('explorer');
      await page.locator('.cm-content').waitFor();
      await type(
        page,
        'const inputs = { a: [2, 3], b: [4, 5] };\nfunction f(a, b) { return reduceSum(matmul(a, b)); }',
      );
      const problem = page.locator('[data-testid=problem]');
      await problem.filter({ hasText: 'matmul: inner dimensions differ: [2,3] · [4,5]' }).waitFor();
      await type(page, 'const inputs = { a: [2] };\nfunction f(a) { for (;;) {} }');
      await problem.filter({ hasText: 'loop without an end' }).waitFor({ timeout: 20_000 });
      await type(page, 'const inputs = { a: [2] };\nfunction f(a) { return reduceSum(sin(a)); }');
      await problem.waitFor({ state: 'detached' });
      await page.locator('.equation', { hasText: 'sin' }).first().waitFor();
      await page.close();
    }, 60_000);

    test('a function goes into an address and comes out of it', async () => {
      const { page } = await visit('explorer');
      await page.locator('.cm-content').waitFor();
      await type(page, 'const inputs = { größe: [2] };\nfunction f(größe) { return mean(größe); }');
      await page.getByRole('button', { name: 'Copy link' }).click();
      await page.waitForFunction(() => location.hash.startsWith('#code='));
      const again = await visit('explorer', new URL(page.url()).hash);
      await again.page.locator('.cm-content', { hasText: 'mean(größe)' }).waitFor();
      await again.page.locator('.equation').first().waitFor();
      await page.close();
      await again.page.close();
    }, 30_000);
  });

  describe('the book', () => {
    test.each([
      ['02-lora-sam', 2],
      ['03-expected-loss', 1],
      ['05-activations', 2],
    ])(
      '%s: each slider is moved by keyboard, and the numbers follow',
      async (id, sliders) => {
        const { page, complaints } = await visit('book', `#${id}`);
        const section = page.locator('article section.panel');
        const sentence = section.locator('p').last();
        await section.locator('strong').first().waitFor({ timeout: 15_000 });
        const found = await section.locator('input[type=range]').all();
        expect(found).toHaveLength(sliders);
        for (const slider of found) {
          const [was, before] = [await slider.inputValue(), await sentence.textContent()];
          await slider.focus();
          await page.keyboard.press('PageUp');
          expect(await slider.inputValue()).not.toBe(was);
          await page.waitForFunction(
            (text) =>
              document.querySelector('article section.panel p:last-of-type')?.textContent !== text,
            before,
          );
        }
        expect(complaints).toEqual([]);
        await page.close();
      },
      30_000,
    );

    test('the variance of activations is 1 + σ² while n and σ are dragged', async () => {
      const { page } = await visit('book', '#05-activations');
      const [measured, expected] = [
        page.locator('[data-testid=measured]'),
        page.locator('[data-testid=expected]'),
      ];
      await measured.waitFor();
      for (const [n, sigma] of [
        [8, 0.2],
        [256, 1],
      ] as const) {
        await page.locator('input[name=n]').fill(String(n));
        await page.locator('input[name=σ]').fill(String(sigma));
        await expected.filter({ hasText: (1 + sigma ** 2).toFixed(3) }).waitFor();
        await page.waitForSelector('article section[aria-busy=false]');
        expect(Number(await measured.textContent()) / (1 + sigma ** 2)).toBeCloseTo(1, 1);
      }
      await page.close();
    }, 30_000);
  });

  describe('the reference', () => {
    test('a name is found; each example that needs no Node runs', async () => {
      const { page, complaints } = await visit('reference');
      await page.locator('select[name=example]').waitFor();
      const names = await page.locator('select[name=example] option').allTextContents();
      let ran = 0;
      for (const [i, name] of names.entries()) {
        await page.selectOption('select[name=example]', String(i));
        await page.waitForFunction(
          (n) =>
            (document.querySelector('.program') as HTMLTextAreaElement).value.length > 0 &&
            n !== '',
          name,
        );
        await page.waitForTimeout(100);
        const run = page.getByRole('button', { name: 'Run' });
        if (await run.isDisabled()) continue;
        await run.click();
        await page.waitForSelector('[data-testid=printed]:not([data-state=running])', {
          timeout: 90_000,
        });
        const printed = page.locator('[data-testid=printed]');
        const text = await printed.textContent();
        expect([name, await printed.getAttribute('data-state'), text]).toEqual([
          name,
          'done',
          text,
        ]);
        expect(text?.length).toBeGreaterThan(20);
        ran++;
      }
      expect(ran).toBeGreaterThanOrEqual(6);
      expect(complaints).toEqual([]);
      await page.close();
    }, 200_000);
  });
});
