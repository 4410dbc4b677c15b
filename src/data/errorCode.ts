/**
 * The system's code of a thrown value or of its cause (`fetch` hides it there), such as ENOENT;
 * else its message. It asks for the properties instead of `instanceof Error`, which is false for
 * errors from another realm (a worker, a test's sandbox).
 */
export function errorCode(thrown: unknown): string {
  for (let error = thrown; typeof error === 'object' && error !== null; ) {
    if ('code' in error && typeof error.code === 'string') return error.code;
    if (!('cause' in error) || error.cause === undefined) {
      return 'message' in error ? oneLine(String(error.message)) : 'unknown';
    }
    error = error.cause;
  }
  return oneLine(String(thrown));
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').slice(0, 100);
