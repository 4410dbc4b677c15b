/** `virtual:exports`: the public names of each room, read from the source while the site is built. */
import { cpSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { exportsOf } from './exports.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const { exports: entries } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>;
};

/** The package's entry points that are rooms of the source. */
export const ROOMS: readonly string[] = Object.keys(entries)
  .flatMap((entry) => /^\.\/(\w+)$/.exec(entry)?.[1] ?? [])
  .filter((room) => existsSync(path.join(ROOT, 'src', room, 'index.ts')));

const ID = 'virtual:exports';

export function exportIndex(): Plugin {
  const api = path.join(ROOT, 'out/api');
  const hasApi = existsSync(path.join(api, 'index.html'));
  let outDir = 'dist';
  return {
    name: 'flatlora-exports',
    configResolved: ({ root, build }) => {
      outDir = path.resolve(root, build.outDir);
    },
    resolveId: (id) => (id === ID ? `\0${ID}` : undefined),
    load(id) {
      if (id !== `\0${ID}`) return undefined;
      const rooms = ROOMS.map((room) => ({
        room,
        exports: exportsOf(path.join(ROOT, 'src', room, 'index.ts'), ROOT),
      }));
      return `export const hasApi = ${hasApi}; export const rooms = ${JSON.stringify(rooms)};`;
    },
    // The whole reference, where `npm run docs` has made it.
    closeBundle: () => {
      if (hasApi) cpSync(api, path.join(outDir, 'api'), { recursive: true });
    },
  };
}
