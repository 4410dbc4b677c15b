import { launch, openPage, describeInBrowser } from './browser.js';
import { serveSite } from './serve.js';
describeInBrowser('shot', () => {
  test('x', async () => {
    const served = await serveSite({ isolated: true });
    const browser = await launch({ webgpu: false });
    const { page, complaints } = await openPage(browser, `${served.url}/index.html#steps=100&backend=wasm`, { viewport: { width: 1440, height: 900 } });
    await page.getByRole('button', { name: 'Train' }).click();
    await page.waitForSelector('[data-phase=finished]', { timeout: 90000 });
    await page.waitForTimeout(1500);
    await page.screenshot({ path: '/tmp/shot1.png', fullPage: true });
    await page.setViewportSize({ width: 360, height: 740 });
    await page.waitForTimeout(500);
    await page.screenshot({ path: '/tmp/shot2.png', fullPage: true });
    console.log(complaints, await page.locator('[data-testid=status]').innerText());
    await browser.close(); await served.close();
  }, 120000);
});
