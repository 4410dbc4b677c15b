/** The command line of `npm run bench`. Exit status 1: results differ, or nothing could be run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runBench } from './bench.js';
import { HELP, parseOptions } from './options.js';
import { benchChart } from './report/chart.js';
import { resultsText } from './report/results.js';

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Runs, prints and writes; gives the exit status. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === 'string') {
    console.error(options);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const results = await runBench(options);
  console.log(resultsText(results));
  mkdirSync(options.out, { recursive: true });
  const write = (name: string, text: string) => {
    const file = path.join(options.out, name);
    writeFileSync(file, text);
    return file;
  };
  const written = [write('bench.json', json(results))];
  if (results.rows.length > 0) written.push(write('bench.svg', benchChart(results)));
  if (options.json !== undefined) {
    writeFileSync(options.json, json(results.rows));
    written.push(options.json);
  }
  console.log(`\nWritten: ${written.join(', ')}`);
  return results.missing.some(({ differs }) => differs) ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (cause) {
  console.error((cause as Error).message);
  process.exitCode = 1;
}
// Drivers of graphics cards keep a process alive.
process.exit();
