/**
 * Static files from four pages. The library is compiled from its source, so that the page shows what the
 * repository holds.
 */
import { fileURLToPath } from 'node:url';
import preact from '@preact/preset-vite';
import { defineConfig, type Plugin } from 'vite';
import { bookPages } from './build/bookPages.js';
import { exportIndex } from './build/exportIndex.js';
import { serviceWorker } from './build/serviceWorker.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** With these headers a page may share memory between threads; a static host gets them from sw.js. */
const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

/** What of the library needs Node is never reached in a page; its import must still resolve. */
const plugins: Plugin[] = [...preact(), bookPages(), exportIndex(), serviceWorker()].flat();

export default defineConfig({
  root: here('.'),
  base: './',
  plugins,
  resolve: {
    alias: [
      { find: /^flatlora$/, replacement: here('../src/index.ts') },
      { find: /^flatlora\/(.+)$/, replacement: here('../src/$1/index.ts') },
    ],
  },
  server: { headers: isolation, fs: { allow: [here('..')] } },
  preview: { headers: isolation },
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    rollupOptions: {
      input: {
        playground: here('index.html'),
        explorer: here('explorer.html'),
        book: here('book.html'),
        reference: here('reference.html'),
      },
    },
  },
});
