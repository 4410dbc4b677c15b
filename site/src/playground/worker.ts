/** The Worker of the playground: everything that takes time happens here. */
import { key, orThrow, treeLeaves } from '../../../src/autodiff/index.js';
import { autoBackend, type Backend, backendByName } from '../../../src/kernels/index.js';
import decoderUrl from '../../../weights/decoder.safetensors?url';
import tokenizerUrl from '../../../weights/decoder-tokenizer.json?url';
import vitUrl from '../../../weights/vit-drawn.safetensors?url';
import { adaptersOf, filesOf } from './adapterFiles.js';
import type { FromWorker, OwnFiles, StepLosses, ToWorker } from './protocol.js';
import { isDue, type Look, NO_LOOK } from './rhythm.js';
import { SAMPLE_TEXT } from './sampleText.js';
import { openRuns, type Run, type RunName } from './session.js';
import type { Settings } from './settings.js';
import type { Task } from './task.js';

const say = (message: FromWorker): void => postMessage(message);

/** Steps between measurements, as a share of all: a curve of about twenty points. */
const MEASUREMENTS = 20;
/** Surfaces are slower: so many over a run. */
const SURFACES = 4;
/** Milliseconds that one may take. */
const SURFACE_BUDGET = 2500;
/** Milliseconds between reports of steps. */
const REPORT_EVERY = 100;

interface Session {
  readonly task: Task;
  readonly settings: Settings;
  readonly backend: Backend;
  readonly runs: readonly Run[];
}

const bytesOf = async (url: string): Promise<Uint8Array> => {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the page could not load ${url.split('/').at(-1)}`);
  return new Uint8Array(await response.arrayBuffer());
};

/** Unpacks a file that is gzip, with a limit: a small file must not fill the memory. */
async function unpacked(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const parts: Uint8Array[] = [];
  let size = 0;
  const stream = new Blob([bytes as BlobPart])
    .stream()
    .pipeThrough(new DecompressionStream('gzip'));
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > 2 ** 28) throw new Error('the file unpacks to more than 256 MiB');
    parts.push(value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function taskOf(settings: Settings, files: OwnFiles): Promise<Task> {
  const options = { examples: settings.examples, key: key(settings.seed) };
  if (settings.model === 'vit') {
    const { digitsOfFiles, digitsTask, readVitWeights } = await import('./digits.js');
    const weights = readVitWeights(files.weights?.bytes ?? (await bytesOf(vitUrl)));
    const images =
      files.images && files.labels
        ? digitsOfFiles(await unpacked(files.images.bytes), await unpacked(files.labels.bytes))
        : undefined;
    return digitsTask(weights, options, images);
  }
  const { readDecoderWeights, textTask } = await import('./text.js');
  const weights = readDecoderWeights(files.weights?.bytes ?? (await bytesOf(decoderUrl)));
  const tokenizer = JSON.parse(new TextDecoder().decode(await bytesOf(tokenizerUrl)));
  return textTask(weights, tokenizer, files.text ?? SAMPLE_TEXT, options);
}

const chosenBackend = async (name: string): Promise<{ backend: Backend; reason: string }> =>
  name === 'auto'
    ? autoBackend()
    : { backend: await backendByName(name), reason: 'you have chosen it' };

let session: Session | undefined;
let running = false;
let done = 0;
/** Milliseconds that steps have taken, and the last looks at the runs. */
let trained = 0;
let [lastMeasured, lastDrawn]: [Look, Look] = [NO_LOOK, NO_LOOK];
/** Questions that came in the middle of a run: they are answered between two steps. */
const questions: Exclude<ToWorker, { kind: 'pause' }>[] = [];

const announceState = (): void =>
  say({
    kind: 'state',
    running,
    finished: session !== undefined && done >= session.settings.steps,
  });

/** Messages are heard between two macrotasks only. */
const breathe = (): Promise<void> => {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
};

async function open(settings: Settings, files: OwnFiles): Promise<void> {
  const task = await taskOf(settings, files);
  const { backend, reason } = await chosenBackend(settings.backend);
  const runs = await openRuns(task, settings, backend);
  session = { task, settings, backend, runs };
  done = 0;
  trained = 0;
  lastDrawn = NO_LOOK;
  const [plain, flat] = runs as [Run, Run];
  say({
    kind: 'opened',
    backend: backend.name,
    reason,
    labels: [plain.label, flat.label],
    trained: treeLeaves<{ size: number }>(plain.start).reduce((n, { size }) => n + size, 0),
  });
  await measure();
  announceState();
}

/** Looks at both runs. @returns when that was, and how long it took. */
async function looking(look: () => Promise<void>): Promise<Look> {
  const from = performance.now();
  await look();
  return { step: done, trained, cost: performance.now() - from };
}

async function measure(): Promise<void> {
  if (session?.settings.watch === 'losses') return;
  lastMeasured = await looking(async () => {
    for (const run of session?.runs ?? []) {
      say({ kind: 'measured', run: run.name, measured: await run.measure() });
      await breathe();
    }
  });
}

async function drawSurfaces(): Promise<void> {
  if (session?.settings.watch !== 'surface') return;
  lastDrawn = await looking(async () => {
    for (const run of session?.runs ?? []) {
      say({ kind: 'surface', run: run.name, surface: await run.surface(breathe, SURFACE_BUDGET) });
    }
  });
}

async function bothStep(): Promise<StepLosses> {
  const losses: number[] = [];
  for (const run of session?.runs ?? []) losses.push(await run.step());
  done++;
  return { step: done, losses: losses as unknown as [number, number] };
}

/** Steps until the end or a pause. */
async function train(until: number): Promise<void> {
  if (session === undefined) return;
  const { steps } = session.settings;
  const measureEvery = Math.max(1, Math.round(steps / MEASUREMENTS));
  const surfaceEvery = Math.max(1, Math.round(steps / SURFACES));
  let waiting: StepLosses[] = [];
  let last = performance.now();
  // Time spent on steps alone since the last report.
  let spent = 0;
  const report = () => {
    if (waiting.length > 0) {
      say({ kind: 'steps', steps: waiting, perSecond: (2e3 * waiting.length) / spent });
    }
    waiting = [];
    spent = 0;
    last = performance.now();
  };
  while (running && done < until) {
    const from = performance.now();
    waiting.push(await bothStep());
    const took = performance.now() - from;
    spent += took;
    trained += took;
    if (performance.now() - last > REPORT_EVERY) report();
    const now = { step: done, trained };
    if (isDue(lastMeasured, now, measureEvery) || done === steps) {
      report();
      await measure();
    }
    if (isDue(lastDrawn, now, surfaceEvery) || done === steps) {
      report();
      await drawSurfaces();
    }
    await breathe();
    await answerQuestions();
  }
  report();
  running = false;
  announceState();
}

async function answerQuestions(): Promise<void> {
  for (let next = questions.shift(); next !== undefined; next = questions.shift()) {
    try {
      await obey(next);
    } catch (thrown) {
      say({ kind: 'problem', sentence: sentenceOf(thrown), fatal: false });
    }
  }
}

async function download(name: RunName): Promise<void> {
  const run = session?.runs.find((r) => r.name === name);
  if (run === undefined) return;
  say({ kind: 'files', run: name, files: filesOf(orThrow(await run.files())) });
}

/** Work is done in the order in which it was asked for; a pause is heard at once. */
let queue: Promise<void> = Promise.resolve();

const sentenceOf = (thrown: unknown): string => {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return text.split('\n')[0]?.slice(0, 400) ?? 'something went wrong';
};

async function obey(message: Exclude<ToWorker, { kind: 'pause' }>): Promise<void> {
  switch (message.kind) {
    case 'open':
      return open(message.settings, message.files);
    case 'run':
      running = true;
      announceState();
      return train(session?.settings.steps ?? 0);
    case 'step': {
      running = true;
      await train(Math.min(done + 1, session?.settings.steps ?? 0));
      return measure();
    }
    case 'ask': {
      for (const run of session?.runs ?? []) {
        say({ kind: 'answer', run: run.name, answer: await run.ask(message.question) });
      }
      return;
    }
    case 'download':
      return download(message.run);
    case 'upload': {
      const run = session?.runs.find(({ name }) => name === message.run);
      if (session === undefined || run === undefined) return;
      run.setAdapters(adaptersOf(message.files, session.task, await run.adapters()));
      say({ kind: 'note', sentence: `${run.label} goes on from your adapter.` });
      say({ kind: 'measured', run: run.name, measured: await run.measure() });
    }
  }
}

addEventListener('message', ({ data: message }: MessageEvent<ToWorker>): void => {
  if (message.kind === 'pause') {
    running = false;
    return;
  }
  if ((message.kind === 'ask' || message.kind === 'download') && running) {
    questions.push(message);
    return;
  }
  queue = queue.then(async () => {
    try {
      await obey(message);
    } catch (thrown) {
      running = false;
      questions.length = 0;
      const fatal = message.kind === 'open' || message.kind === 'run' || message.kind === 'step';
      say({ kind: 'problem', sentence: sentenceOf(thrown), fatal });
      announceState();
    }
  });
});
