/** Debian's Chromium for the tests of the site. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { SITE } from './serve.js';

const CHROMIUM = process.env.FLATLORA_CHROMIUM || '/usr/bin/chromium';
const required = (process.env.FLATLORA_REQUIRE_BROWSER ?? '') !== '';
const missing = [CHROMIUM, path.join(SITE, 'index.html')].find((file) => !existsSync(file));

/** Tests that need Chromium and the built site; left out, and said so, where one is absent. */
export function describeInBrowser(name: string, body: () => void): void {
  if (missing !== undefined && !required) {
    process.stdout.write(`${name}: left out, there is no ${missing}\n`);
  }
  (missing === undefined || required ? describe : describe.skip)(name, body);
}

/** @param webgpu on a software adapter, or not at all. */
export const launch = ({ webgpu }: { readonly webgpu: boolean }): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--enable-unsafe-swiftshader',
      ...(webgpu ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : []),
    ],
  });

/** Opens a page; what it complains of is collected. */
export async function openPage(
  browser: Browser,
  url: string,
  options: Parameters<Browser['newPage']>[0] = {},
): Promise<{ readonly page: Page; readonly complaints: string[] }> {
  const page = await browser.newPage(options);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints };
}
