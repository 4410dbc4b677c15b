/** The page's side of the Worker: what it has said, as signals that views read. */
import { batch, type Signal, signal } from '@preact/signals';
import { announce } from '../shell/announce.js';
import type { Answer } from './answer.js';
import type { FromWorker, NamedFile, OwnFiles, StepLosses, ToWorker } from './protocol.js';
import type { Measured, RunName, Surface } from './session.js';
import type { Settings } from './settings.js';

export type ByRun<T> = { readonly [k in RunName]?: T };

/** Where a session is. */
export type Phase = 'empty' | 'opening' | 'paused' | 'running' | 'finished' | 'failed';

export interface Opened {
  readonly backend: string;
  readonly reason: string;
  readonly labels: readonly [string, string];
  readonly trained: number;
}

export interface Client {
  readonly phase: Signal<Phase>;
  readonly opened: Signal<Opened | undefined>;
  /** Replaced, never changed, at most ten times a second. */
  readonly steps: Signal<readonly StepLosses[]>;
  readonly perSecond: Signal<number | undefined>;
  readonly measured: Signal<ByRun<readonly Measured[]>>;
  readonly surfaces: Signal<ByRun<Surface>>;
  readonly answers: Signal<ByRun<Answer>>;
  readonly problem: Signal<string | undefined>;
  /** Starts anew: another Worker, so that a lost device or a full memory leaves nothing behind. */
  readonly open: (settings: Settings, files: OwnFiles) => void;
  readonly send: (message: Exclude<ToWorker, { kind: 'open' }>) => void;
}

/** Offers a file to the reader under a name. */
function save({ name, bytes }: NamedFile): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes as BlobPart]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function createClient(): Client {
  const phase = signal<Phase>('empty');
  const opened = signal<Opened | undefined>(undefined);
  const steps = signal<readonly StepLosses[]>([]);
  const perSecond = signal<number | undefined>(undefined);
  const measured = signal<ByRun<readonly Measured[]>>({});
  const surfaces = signal<ByRun<Surface>>({});
  const answers = signal<ByRun<Answer>>({});
  const problem = signal<string | undefined>(undefined);
  let worker: Worker | undefined;

  const fail = (sentence: string): void => {
    problem.value = sentence;
    phase.value = 'failed';
    announce(sentence);
  };

  const hear = (message: FromWorker): void => {
    switch (message.kind) {
      case 'opened': {
        const { kind: _, ...rest } = message;
        opened.value = rest;
        announce(`Ready on ${message.backend}.`);
        break;
      }
      case 'state': {
        if (phase.value === 'failed') break;
        phase.value = message.finished ? 'finished' : message.running ? 'running' : 'paused';
        if (message.finished) announce('Training is finished.');
        break;
      }
      case 'steps':
        batch(() => {
          steps.value = [...steps.value, ...message.steps];
          perSecond.value = message.perSecond;
        });
        break;
      case 'measured':
        measured.value = {
          ...measured.value,
          [message.run]: [...(measured.value[message.run] ?? []), message.measured],
        };
        break;
      case 'surface':
        surfaces.value = { ...surfaces.value, [message.run]: message.surface };
        break;
      case 'answer':
        answers.value = { ...answers.value, [message.run]: message.answer };
        break;
      case 'files':
        for (const file of message.files) save(file);
        announce(
          `The adapter of ${message.run === 'flat' ? 'the flat run' : 'the plain run'} is saved.`,
        );
        break;
      case 'note':
        announce(message.sentence);
        break;
      case 'problem':
        if (message.fatal) fail(message.sentence);
        else {
          problem.value = message.sentence;
          announce(message.sentence);
        }
    }
  };

  return {
    phase,
    opened,
    steps,
    perSecond,
    measured,
    surfaces,
    answers,
    problem,
    open: (settings, files) => {
      worker?.terminate();
      batch(() => {
        phase.value = 'opening';
        opened.value = undefined;
        steps.value = [];
        perSecond.value = undefined;
        measured.value = {};
        surfaces.value = {};
        answers.value = {};
        problem.value = undefined;
      });
      const made = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
      worker = made;
      made.onmessage = ({ data }: MessageEvent<FromWorker>) => hear(data);
      made.onerror = (event) => {
        event.preventDefault();
        fail(
          `The part of the page that computes has stopped: ${event.message || 'it could not be loaded'}.`,
        );
      };
      made.postMessage({ kind: 'open', settings, files } satisfies ToWorker);
    },
    send: (message) => {
      if (message.kind === 'run' || message.kind === 'step') problem.value = undefined;
      worker?.postMessage(message);
    },
  };
}
