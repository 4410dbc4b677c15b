/**
 * A training run in a process of its own, to be interrupted: `child.ts FOLDER STEPS PAUSE HOLD`. Prints
 * a line of JSON per event. PAUSE milliseconds pass in every step; step HOLD waits until it is
 * interrupted, so that a busy machine cannot let the run end before the test has stopped it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { nodeCheckpoints } from '../../../src/checkpoints/node/index.js';
import { referenceBackend } from '../../../src/kernels/reference/backend.js';
import { train } from '../../../src/training/index.js';
import { abortOnInterrupt } from '../../../src/training/node/index.js';
import { CHECKPOINT_EVERY, CONFIGURATION, toyPlan } from './toy.js';

/** The longest a timer can wait. */
const FOREVER = 2 ** 31 - 1;

const [folder = '', steps = '0', milliseconds = '0', hold = ''] = process.argv.slice(2);
const plan = toyPlan(Number(steps));
const interruption = abortOnInterrupt();
await train(
  {
    ...plan,
    batch: async (step: number, micro: number) => {
      await pause(Number(milliseconds));
      if (step === Number(hold || -1)) {
        await pause(FOREVER, undefined, { signal: interruption.signal }).catch(() => undefined);
      }
      return plan.batch(step, micro);
    },
  },
  referenceBackend(),
  {
    signal: interruption.signal,
    checkpoints: {
      store: nodeCheckpoints(folder),
      every: CHECKPOINT_EVERY,
      configuration: CONFIGURATION,
    },
    observe: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  },
);
interruption.dispose();
