#!/usr/bin/env node
/** The command `flatlora`. */
import { readFileSync } from 'node:fs';
import { abortOnInterrupt } from '../training/node/index.js';
import { main } from './main.js';

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };
const { signal, dispose } = abortOnInterrupt();
const code = await main(
  process.argv.slice(2),
  {
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    signal,
  },
  version,
);
dispose();
process.exitCode = code;
