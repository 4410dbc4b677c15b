/** The command line of `npm run bench`. Exit status 1: results differ, or nothing could be run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runBench } from './bench.js';
import { HELP, parseOptions } from './options.js';
import { benchChart } from './report/chart.js';
import { type Results, resultsText } from './report/results.js';

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
  mkdirSync(options.out, { recursive: true });
  const inOut = (name: string) => path.join(options.out, name);
  /** Writes what there is and gives the files' names. */
  const keep = (results: Results): readonly string[] => {
    const files = {
      [inOut('bench.json')]: json(results),
      ...(results.rows.length > 0 && { [inOut('bench.svg')]: benchChart(results) }),
      ...(options.json !== undefined && { [options.json]: json(results.rows) }),
    };
    for (const [file, text] of Object.entries(files)) writeFileSync(file, text);
    return Object.keys(files);
  };
  const results = await runBench(options, keep);
  console.log(resultsText(results));
  console.log(`\nWritten: ${keep(results).join(', ')}`);
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
