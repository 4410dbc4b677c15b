/** Ctrl-C (Node): the first one asks for a clean stop, the second one kills. */

/** The part of `process` that is used. */
export interface SignalSource {
  readonly once: (event: 'SIGINT' | 'SIGTERM', listener: () => void) => unknown;
  readonly off: (event: 'SIGINT' | 'SIGTERM', listener: () => void) => unknown;
}

export interface Interruption {
  /** Aborted at the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Stops listening; the signals then do what they always do. */
  readonly dispose: () => void;
}

/**
 * Turns the first Ctrl-C (SIGINT) or SIGTERM into an aborted signal for `train`. After it nothing is
 * listened to any more, so a second one ends the process at once, as without this function.
 */
export function abortOnInterrupt(source: SignalSource = process): Interruption {
  const controller = new AbortController();
  const dispose = () => {
    source.off('SIGINT', interrupted);
    source.off('SIGTERM', interrupted);
  };
  const interrupted = () => {
    dispose();
    controller.abort();
  };
  source.once('SIGINT', interrupted);
  source.once('SIGTERM', interrupted);
  return { signal: controller.signal, dispose };
}
