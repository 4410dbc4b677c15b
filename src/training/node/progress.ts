/** Progress for people (Node): a bar with the time left on a terminal, plain lines elsewhere. */
import { SingleBar } from 'cli-progress';
import type { Metrics, TrainingEvent, TrainingObserver } from '../events.js';

/** The part of a stream that is used. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly write: (text: string) => unknown;
}

export interface ProgressOptions {
  /** Where to write; `process.stderr` by default. */
  readonly stream?: ProgressStream;
  /** What is trained, at the head of every line; `training` by default. */
  readonly label?: string;
  /** Seconds between plain lines; 10 by default. */
  readonly everySeconds?: number;
  /** Milliseconds from any fixed moment; the system's clock by default. */
  readonly now?: () => number;
}

/** `48s`, `3m05s`, `2h07m`. */
export function showDuration(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}

const showNumber = (x: number): string => x.toPrecision(4);

const showMetrics = (metrics: Metrics): string =>
  Object.entries(metrics)
    .map(([name, x]) => `${name} ${showNumber(x)}`)
    .join(', ');

/** The line of an event other than a step, if it has one. */
function lineOf(event: TrainingEvent): string | undefined {
  switch (event.kind) {
    case 'started':
      return event.step > 0 ? `going on from step ${event.step} of ${event.totalSteps}` : undefined;
    case 'evaluated':
      return `after step ${event.step}: ${showMetrics(event.metrics)}`;
    case 'finished':
      return event.reason === 'interrupted'
        ? `stopped after step ${event.step} of ${event.totalSteps}`
        : undefined;
    default:
      return undefined;
  }
}

/** Seconds left at the pace so far; `undefined` before there is one. */
function timeLeft(start: { step: number; at: number }, done: number, total: number, now: number) {
  const steps = done - start.step;
  return steps > 0 ? (((now - start.at) / steps) * (total - done)) / 1000 : undefined;
}

/** Plain lines: the first step, one every few seconds, the last step. */
function plainProgress(
  write: (line: string) => void,
  everySeconds: number,
  now: () => number,
): TrainingObserver {
  let start = { step: 0, at: now() };
  let lastLine = Number.NEGATIVE_INFINITY;
  return (event) => {
    if (event.kind === 'started') start = { step: event.step, at: now() };
    if (event.kind === 'step') {
      const done = event.step + 1;
      const { totalSteps } = event;
      if (now() - lastLine < everySeconds * 1000 && done < totalSteps) return;
      lastLine = now();
      const left = timeLeft(start, done, totalSteps, now());
      const eta = left === undefined || done === totalSteps ? '' : `, ETA ${showDuration(left)}`;
      write(`step ${done}/${totalSteps}, loss ${showNumber(event.loss)}${eta}`);
      return;
    }
    const line = lineOf(event);
    if (line !== undefined) write(line);
  };
}

function barProgress(
  stream: ProgressStream,
  label: string,
  write: (line: string) => void,
  now: () => number,
): TrainingObserver {
  const bar = new SingleBar({
    stream: stream as NodeJS.WritableStream,
    format: `${label} [{bar}] {value}/{total}, loss {loss}, ETA {left}`,
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    gracefulExit: false,
  });
  let start = { step: 0, at: now() };
  let shown: { done: number; loss: string } = { done: 0, loss: '…' };
  const payload = (left: number | undefined) => ({
    loss: shown.loss,
    left: left === undefined ? '…' : showDuration(left),
  });
  return (event) => {
    if (event.kind === 'started') {
      start = { step: event.step, at: now() };
      shown = { done: event.step, loss: '…' };
    }
    const line = lineOf(event);
    if (event.kind === 'started') {
      if (line !== undefined) write(line);
      bar.start(event.totalSteps, event.step, payload(undefined));
    } else if (event.kind === 'step') {
      shown = { done: event.step + 1, loss: showNumber(event.loss) };
      bar.update(shown.done, payload(timeLeft(start, shown.done, event.totalSteps, now())));
    } else if (event.kind === 'finished' || event.kind === 'failed') {
      bar.stop();
      if (line !== undefined) write(line);
    } else if (line !== undefined) {
      // A line above the bar: the bar is ended, and drawn again below.
      const total = bar.getTotal();
      bar.stop();
      write(line);
      bar.start(total, shown.done, payload(timeLeft(start, shown.done, total, now())));
    }
  };
}

/**
 * An observer for `train` that shows how far it is. Damaged checkpoints that were passed over are
 * always told.
 */
export function terminalProgress({
  stream = process.stderr,
  label = 'training',
  everySeconds = 10,
  now = () => performance.now(),
}: ProgressOptions = {}): TrainingObserver {
  const write = (line: string) => {
    stream.write(`${label}: ${line}\n`);
  };
  const show =
    stream.isTTY === true
      ? barProgress(stream, label, write, now)
      : plainProgress(write, everySeconds, now);
  return (event) => {
    if (event.kind === 'started') {
      for (const reason of event.passedOver) write(`warning: ${reason}`);
    }
    show(event);
  };
}
