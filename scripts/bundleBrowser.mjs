/**
 * One file for a plain `<script type="module">`: everything of `flatlora` that runs in a page and all that
 * it needs, without a bundler and without Node.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const at = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

await build({
  entryPoints: [at('dist/index.js')],
  outfile: at('dist/browser/flatlora.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  logLevel: 'warning',
});
