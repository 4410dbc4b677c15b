/**
 * The folder of a run: `run.json` (settings), `metrics.jsonl` and TensorBoard's events, `checkpoints/`,
 * `adapter/` and `best/` (or `model/` and `best/` where whole weights are trained), `report.html`.
 */
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { FlatloraError } from '../autodiff/index.js';
import { canonicalJson, differences, type Json } from '../checkpoints/index.js';
import { scalarsRecord, versionRecord } from './tensorboard.js';

/** One line of `metrics.jsonl`. */
export interface MetricsLine {
  /** Steps done. */
  readonly step: number;
  readonly [name: string]: number;
}

export interface RunFolder {
  readonly file: (...parts: readonly string[]) => string;
  /** Adds numbers of a step. */
  readonly log: (line: MetricsLine) => Promise<void>;
  /** All lines so far. */
  readonly lines: () => readonly MetricsLine[];
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Writes a text so that a reader sees the old one or the new one. */
export async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.tmp`, text);
  await rename(`${file}.tmp`, file);
}

/** The lines of a file of metrics; one that was cut by a kill is left away. */
function parsedLines(text: string): readonly MetricsLine[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as MetricsLine];
    } catch {
      return [];
    }
  });
}

/**
 * Opens a run's folder, or makes it. A folder with a run of other settings is refused.
 * @throws FlatloraError that names what differs.
 */
export async function openRun(folder: string, settings: Json): Promise<RunFolder> {
  const file = (...parts: readonly string[]) => path.join(folder, ...parts);
  await mkdir(folder, { recursive: true });
  const text = await readText(file('run.json'));
  if (text === undefined) {
    await writeWhole(file('run.json'), `${JSON.stringify(settings, null, 2)}\n`);
  } else {
    const saved = JSON.parse(text) as Json;
    if (canonicalJson(saved) !== canonicalJson(settings)) {
      throw new FlatloraError(
        'argument',
        `out: ${folder} holds a run with other settings (${differences(saved, settings).slice(0, 3).join('; ')}); name another folder`,
      );
    }
  }
  let lines = parsedLines((await readText(file('metrics.jsonl'))) ?? '');
  const now = () => Date.now() / 1000;
  const events = file(`events.out.tfevents.${Math.floor(now())}.flatlora`);
  let started = false;
  // Lines are written one after the other, in the order in which they were given.
  let before: Promise<void> = Promise.resolve();
  const write = async (line: MetricsLine): Promise<void> => {
    // Lines of steps that a killed run did after its last checkpoint are of a past that is done again.
    const kept =
      (lines.at(-1)?.step ?? 0) < line.step
        ? lines
        : lines.filter(({ step, ...names }) => {
            const again = Object.keys(names).some((name) => name in line);
            return step < line.step || (step === line.step && !again);
          });
    if (kept.length < lines.length) {
      await writeWhole(
        file('metrics.jsonl'),
        kept.map((one) => `${JSON.stringify(one)}\n`).join(''),
      );
    }
    lines = [...kept, line];
    await appendFile(file('metrics.jsonl'), `${JSON.stringify(line)}\n`);
    if (!started) await appendFile(events, versionRecord(now()));
    started = true;
    const { step, ...scalars } = line;
    await appendFile(events, scalarsRecord(now(), step, scalars));
  };
  return {
    file,
    lines: () => lines,
    log: (line) => {
      before = before.then(() => write(line));
      return before;
    },
  };
}
