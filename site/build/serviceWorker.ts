/**
 * Writes sw.js beside the pages: it keeps the built files for offline use, and adds the two headers with which
 * a page may share memory between threads, so that a static host need not send them.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'vite';

/** Fonts in older forms, and the large reference, are fetched when they are asked for. */
const NOT_KEPT = /(\.ttf|\.woff|^sw\.js)$|^api\//;

const filesOf = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true })
    .map((name) => String(name).split(path.sep).join('/'))
    .filter((name) => statSync(path.join(folder, name)).isFile() && !NOT_KEPT.test(name))
    .sort();

/** The script. Files have their content's hash in their names, so what is kept is never stale. */
const scriptOf = (version: string, files: readonly string[]): string => `
const CACHE = 'flatlora-${version}';
const FILES = ${JSON.stringify(files)};

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: 'reload' }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names.filter((n) => n.startsWith('flatlora-') && n !== CACHE).map((n) => caches.delete(n)),
        ),
      )
      .then(() => self.clients.claim()),
  );
});

const isolated = (response) => {
  if (response.status === 0 || response.type === 'opaque') return response;
  const headers = new Headers(response.headers);
  headers.set('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-embedder-policy', 'require-corp');
  headers.set('cross-origin-resource-policy', 'same-origin');
  const { status, statusText } = response;
  const isEmpty = status === 204 || status === 205 || status === 304;
  return new Response(isEmpty ? null : response.body, { status, statusText, headers });
};

const answer = async (request) => {
  const { pathname } = new URL(request.url);
  const scope = new URL(self.registration.scope).pathname;
  const name = pathname.slice(scope.length) || 'index.html';
  const cache = await caches.open(CACHE);
  const kept = FILES.includes(name) ? await cache.match(name) : undefined;
  return isolated(kept ?? (await fetch(request)));
};

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const isOurs = new URL(request.url).origin === self.location.origin;
  if (request.method !== 'GET' || !isOurs || request.headers.has('range')) return;
  event.respondWith(answer(request));
});
`;

export function serviceWorker(): Plugin {
  let outDir = 'dist';
  return {
    name: 'flatlora-service-worker',
    apply: 'build',
    configResolved: ({ root, build }) => {
      outDir = path.resolve(root, build.outDir);
    },
    closeBundle: {
      order: 'post',
      sequential: true,
      handler: () => {
        const files = filesOf(outDir);
        const hash = createHash('sha256');
        for (const file of files) hash.update(file).update(readFileSync(path.join(outDir, file)));
        const version = hash.digest('hex').slice(0, 12);
        writeFileSync(path.join(outDir, 'sw.js'), scriptOf(version, files).trimStart());
      },
    },
  };
}
