/** Progress of many runs as one bar. */
import { SingleBar } from 'cli-progress';
import { showDuration } from '../training/node/index.js';

const say = (line: string) => process.stderr.write(`${line}\n`);

/** A bar with the time left on a terminal, a line every ten seconds elsewhere. */
export function overallProgress() {
  const start = performance.now();
  const left = (done: number) =>
    done > 0 ? showDuration(((performance.now() - start) / 1000) * (1 / done - 1)) : '…';
  if (process.stderr.isTTY) {
    const bar = new SingleBar({ format: 'runs {bar} {percentage}% | {left} left' });
    bar.start(1000, 0, { left: '…' });
    return {
      update: (done: number) => bar.update(Math.round(1000 * done), { left: left(done) }),
      stop: () => bar.stop(),
    };
  }
  let said = performance.now();
  return {
    update: (done: number) => {
      if (performance.now() - said < 10_000) return;
      said = performance.now();
      say(`runs: ${(100 * done).toFixed(0)} %, ${left(done)} left`);
    },
    stop: () => undefined,
  };
}
