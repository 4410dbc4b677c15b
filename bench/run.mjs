/**
 * Starts the benchmark: builds the library, installs the peers (into bench/node_modules, at the first
 * run and when their lockfile has changed), compiles bench/src, and runs it with the given options.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const bench = fileURLToPath(new URL('.', import.meta.url));
const root = path.dirname(path.resolve(bench));

/** Runs a command in the repository's root and ends with its status where it fails. */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const tsc = path.join(root, 'node_modules/typescript/bin/tsc');

const installed = path.join(bench, 'node_modules/.package-lock.json');
const lockfile = path.join(bench, 'package-lock.json');
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lockfile).mtimeMs) {
  run(npm, ['ci', '--prefix', bench, '--no-audit', '--no-fund']);
}
run(npm, ['run', '--silent', 'build']);
run(process.execPath, [tsc, '-p', bench]);
run(process.execPath, [path.join(bench, 'dist/main.js'), ...process.argv.slice(2)]);
