/**
 * Where we run: how many cores there are, how threads are started, and what must be done before the
 * engine offers relaxed SIMD. A page is described here, Node in `nodePlatform.ts`.
 */
import { nodePlatform } from './nodePlatform.js';

/** What a thread tells whoever started it. */
export interface ThreadEvents {
  readonly onMessage: (message: unknown) => void;
  /** The thread ended by itself: it could not be started, or it ran out of memory. */
  readonly onFailure: (reason: string) => void;
}

/** A thread that runs the code it was started with. */
export interface Thread {
  readonly post: (message: unknown) => void;
  /** Whether the process stays alive for this thread. */
  readonly keepAlive: (on: boolean) => void;
  /** Stops it at once, wherever it is. */
  readonly stop: () => Promise<void>;
}

export interface Platform {
  /** Threads that can run at once. */
  readonly cores: number;
  /** Starts a thread from the text of a script; absent where memory cannot be shared. */
  readonly startThread?: (code: string, events: ThreadEvents) => Thread;
  /** Asks the engine for relaxed SIMD where it has to be asked. */
  readonly offerRelaxedSimd: () => void;
}

/** The code comes as a Blob, so that no bundler has to know of a second file. */
function startWorker(code: string, { onMessage, onFailure }: ThreadEvents): Thread {
  const address = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  const worker = new Worker(address);
  worker.onmessage = ({ data }) => onMessage(data);
  worker.onerror = ({ message }) => onFailure(message ?? 'the page may not start workers');
  return {
    post: (message) => worker.postMessage(message),
    keepAlive: () => undefined,
    stop: async () => {
      worker.terminate();
      URL.revokeObjectURL(address);
    },
  };
}

function pagePlatform(): Platform {
  // Only a page that is served with the two isolation headers may share memory.
  const mayShare = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
  return {
    cores: globalThis.navigator?.hardwareConcurrency ?? 1,
    ...(mayShare && typeof Worker === 'function' && { startThread: startWorker }),
    offerRelaxedSimd: () => undefined,
  };
}

/** The platform that this code runs on. */
export const currentPlatform = (): Platform => nodePlatform() ?? pagePlatform();
