/** How often a run is looked at: at so many points over it, but never for more than half the time. */

/** What is known after the last look. */
export interface Look {
  /** Steps that were done then. */
  readonly step: number;
  /** Milliseconds that steps had taken until then. */
  readonly trained: number;
  /** Milliseconds that the look took. */
  readonly cost: number;
}

export const NO_LOOK: Look = { step: 0, trained: 0, cost: 0 };

/**
 * Whether it is time for the next look: `every` steps after the last, and on a slow device not before the
 * steps have taken as long as looking did.
 */
export const isDue = (
  last: Look,
  now: { readonly step: number; readonly trained: number },
  every: number,
): boolean => now.step - last.step >= every && now.trained - last.trained >= last.cost;
