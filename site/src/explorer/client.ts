/** Asking the Worker, with patience that ends: a loop without end must not hold the page. */
import type { FromWorker, Question, Reply } from './protocol.js';

/** Milliseconds for an answer; running may compile kernels first. */
const PATIENCE = 5000;
const PATIENCE_WITH_RUN = 30_000;

export class Problem extends Error {
  readonly line: number | undefined;
  constructor(message: string, line?: number) {
    super(message);
    this.line = line;
  }
}

export interface Asker {
  /** @throws Problem (rejection), in a sentence. */
  readonly ask: <K extends Question['kind']>(
    source: string,
    question: Extract<Question, { kind: K }>,
  ) => Promise<Extract<Reply, { kind: K }>>;
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (problem: Problem) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

export function createAsker(): Asker {
  let worker: Worker | undefined;
  let next = 0;
  const waiting = new Map<number, Waiting>();

  const finish = (id: number): Waiting | undefined => {
    const found = waiting.get(id);
    if (found !== undefined) clearTimeout(found.timer);
    waiting.delete(id);
    return found;
  };
  /** Ends the Worker; whoever still waits is told. */
  const end = (sentence: string): void => {
    worker?.terminate();
    worker = undefined;
    for (const id of [...waiting.keys()]) finish(id)?.reject(new Problem(sentence));
  };
  const start = (): Worker => {
    const made = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    made.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      const found = finish(data.id);
      if ('reply' in data) found?.resolve(data.reply);
      else found?.reject(new Problem(data.problem, data.line));
    };
    made.onerror = (event) => {
      event.preventDefault();
      end(
        `The part of the page that computes has stopped: ${event.message || 'it could not be loaded'}.`,
      );
    };
    return made;
  };

  return {
    ask: (source, question) =>
      new Promise((resolve, reject) => {
        worker ??= start();
        const id = next++;
        const patience = question.kind === 'run' ? PATIENCE_WITH_RUN : PATIENCE;
        const timer = setTimeout(
          () =>
            end(
              `No answer after ${patience / 1000} seconds: the function was stopped. Is there a loop without an end?`,
            ),
          patience,
        );
        waiting.set(id, { resolve: resolve as Waiting['resolve'], reject, timer });
        worker.postMessage({ id, source, question });
      }),
  };
}
