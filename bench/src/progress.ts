/** A progress bar with the time that is left; lines where there is no terminal. */
import cliProgress from 'cli-progress';
import { duration } from './report/numbers.js';

export interface Progress {
  readonly start: (name: string) => void;
  readonly done: () => void;
  readonly stop: () => void;
}

export function progressBar(total: number): Progress {
  const started = Date.now();
  let count = 0;
  const left = () => {
    if (count === 0) return '';
    return `${duration((((Date.now() - started) / count) * (total - count)) / 1000)} left`;
  };
  if (!process.stderr.isTTY) {
    return {
      start: (name) => console.error(`[${count + 1}/${total}] ${name} ${left()}`.trimEnd()),
      done: () => {
        count += 1;
      },
      stop: () => undefined,
    };
  }
  const bar = new cliProgress.SingleBar({
    format: '{bar} {value}/{total} {name} {left}',
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0, { name: '', left: '' });
  return {
    start: (name) => bar.update(count, { name, left: left() }),
    done: () => {
      count += 1;
      bar.update(count, { left: left() });
    },
    stop: () => bar.stop(),
  };
}
