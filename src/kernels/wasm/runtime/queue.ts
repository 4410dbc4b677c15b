/**
 * One thing after another: the runs of a backend take turns in the order of their calls, and what a
 * waiting run may still need is put off until it is through.
 */

export interface Queue {
  /** Does `work` when everything asked for before is done. */
  readonly add: <A>(work: () => Promise<A>) => Promise<A>;
  /** Does `work` once nothing that was asked for before is left: at once when idle. */
  readonly afterwards: (work: () => void) => void;
  /** Resolves when it is idle. */
  readonly settle: () => Promise<void>;
}

export function createQueue(): Queue {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  /** Put off until the item with that number is through. */
  const later: { readonly after: Promise<unknown>; readonly work: () => void }[] = [];
  const finish = (item: Promise<unknown>) => {
    waiting -= 1;
    while (later.length > 0 && (waiting === 0 || later[0]?.after === item)) later.shift()?.work();
  };
  return {
    add: async (work) => {
      waiting += 1;
      const item = last.then(work, work);
      const through: Promise<unknown> = item.then(
        () => finish(through),
        () => finish(through),
      );
      last = through;
      const result = await item;
      return result;
    },
    afterwards: (work) => {
      if (waiting === 0) work();
      else later.push({ after: last, work });
    },
    settle: async () => {
      while (waiting > 0) await last;
    },
  };
}
