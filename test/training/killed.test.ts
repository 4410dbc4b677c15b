/** Runs in processes of their own that are stopped from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { hostUniform, key } from '../../src/autodiff/index.js';
import { nodeCheckpoints } from '../../src/checkpoints/node/index.js';
import { referenceBackend } from '../../src/kernels/index.js';
import { type TrainingEvent, train } from '../../src/training/index.js';
import { testSeed } from '../tooling/property.js';
import { CHECKPOINT_EVERY, CONFIGURATION, toyPlan } from './support/toy.js';

const STEPS = 40;
const here = (name: string) => fileURLToPath(new URL(`./support/${name}`, import.meta.url));

interface Ended {
  readonly events: readonly TrainingEvent[];
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  readonly stderr: string;
}

/** Runs the child in `folder`; `watch` may send signals when it sees an event. */
async function runChild(
  folder: string,
  { pause = 1, hold = STEPS }: { readonly pause?: number; readonly hold?: number },
  watch: (event: TrainingEvent, child: ChildProcess) => void = () => undefined,
): Promise<Ended> {
  const child = spawn(
    process.execPath,
    [
      '--import',
      here('tsLoader.mjs'),
      here('child.ts'),
      folder,
      ...[STEPS, pause, hold].map(String),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } },
  );
  const events: TrainingEvent[] = [];
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    // The last line of a killed process may be cut off.
    if (!line.endsWith('}')) return;
    const event = JSON.parse(line) as TrainingEvent;
    events.push(event);
    watch(event, child);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ events, signal, code, stderr }));
  });
}

let folder: string;
let whole: Buffer;
const lastFile = async (of: string) => {
  const name = (await readdir(of)).sort().at(-1) as string;
  expect(name).toBe(`step-000000${STEPS}.safetensors`);
  return readFile(path.join(of, name));
};

beforeAll(async () => {
  const undisturbed = await mkdtemp(path.join(tmpdir(), 'flatlora-whole-'));
  await train(toyPlan(STEPS), referenceBackend(), {
    checkpoints: {
      store: nodeCheckpoints(undisturbed),
      every: CHECKPOINT_EVERY,
      configuration: CONFIGURATION,
    },
  });
  whole = await lastFile(undisturbed);
  await rm(undisturbed, { recursive: true });
});
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'flatlora-killed-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('kill −9 at random moments loses at most the work since the last checkpoint', async () => {
  const draws = hostUniform(key(testSeed()), 20);
  let kills = 0;
  let saved = 0;
  for (const [round, draw] of draws.entries()) {
    // Some rounds die between two steps, some while a checkpoint is being written.
    const survives = 2 + Math.floor(draw * 10);
    const atSaving = round % 2 === 1;
    let seen = 0;
    let toKill = true;
    const { events, signal, stderr } = await runChild(
      folder,
      { hold: saved + survives + 8 },
      (event, child) => {
        if (event.kind !== 'step' || ++seen < survives || !toKill) return;
        if (atSaving && (event.step + 1) % CHECKPOINT_EVERY !== 0) return;
        toKill = false;
        child.kill('SIGKILL');
      },
    );
    const [started] = events;
    if (started?.kind !== 'started') throw new Error(`the run did not start: ${stderr}`);
    expect(started.passedOver).toEqual([]);
    // What was reported as saved is never lost; more may have been saved than was reported.
    expect(started.step).toBeGreaterThanOrEqual(saved);
    expect(started.step % CHECKPOINT_EVERY).toBe(0);
    for (const event of events) if (event.kind === 'saved') saved = event.step;
    saved = Math.max(saved, started.step);
    if (signal !== 'SIGKILL') break;
    kills++;
  }
  expect(kills).toBeGreaterThanOrEqual(2);
  expect((await lastFile(folder)).equals(whole)).toBe(true);
});

test('Ctrl-C finishes the step, saves and ends well; a second run goes on to the same bytes', async () => {
  const first = await runChild(folder, { hold: 12 }, (event, child) => {
    if (event.kind === 'step' && event.step === 9) child.kill('SIGINT');
  });
  expect(first).toMatchObject({ code: 0, signal: null });
  const [saved, finished] = first.events.slice(-2);
  expect(finished).toMatchObject({ kind: 'finished', reason: 'interrupted' });
  expect(saved).toMatchObject({ kind: 'saved' });
  const second = await runChild(folder, {});
  expect(second.events[0]).toMatchObject({
    kind: 'started',
    step: saved?.kind === 'saved' ? saved.step : Number.NaN,
  });
  expect((await lastFile(folder)).equals(whole)).toBe(true);
});

test('a second Ctrl-C kills', async () => {
  let pressed = false;
  const { signal, events } = await runChild(folder, { pause: 30_000 }, (event, child) => {
    if (event.kind !== 'started' || pressed) return;
    pressed = true;
    // The first one is being waited for by a step of thirty seconds; again until the process is gone.
    const again = setInterval(() => {
      if (!child.kill('SIGINT')) clearInterval(again);
    }, 50);
    child.on('close', () => clearInterval(again));
  });
  expect(signal).toBe('SIGINT');
  expect(events.filter((e) => e.kind === 'finished')).toEqual([]);
});
