/**
 * The service worker: the site works offline after the first load, and is cross-origin isolated (threads!)
 * even where the host does not send the headers, after one reload.
 */

/** Set while a tab has reloaded once, so that it never does so in a loop. */
const TRIED = 'flatlora-isolation-tried';

const mayReload = (): boolean =>
  !crossOriginIsolated &&
  sessionStorage.getItem(TRIED) === null &&
  new URLSearchParams(location.search).get('isolate') !== 'off' &&
  // Who has begun to do something is not thrown out of it.
  navigator.userActivation?.hasBeenActive !== true;

export async function registerServiceWorker(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register('sw.js');
    await navigator.serviceWorker.ready;
    if (!mayReload()) return;
    sessionStorage.setItem(TRIED, 'yes');
    location.reload();
  } catch {
    // Without it the site works as before, online.
  }
}

/** How many threads WebAssembly has here, as a sentence. */
export const threadsSentence = (): string =>
  crossOriginIsolated
    ? `WebAssembly has up to ${navigator.hardwareConcurrency} threads here.`
    : 'This page is not cross-origin isolated, so WebAssembly has one thread.';
