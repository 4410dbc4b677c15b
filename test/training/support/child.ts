/**
 * A training run in a process of its own, to be interrupted: `child.ts FOLDER STEPS PAUSE`. Prints a
 * line of JSON per event; PAUSE milliseconds pass in every step.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { nodeCheckpoints } from '../../../src/checkpoints/node/index.js';
import { referenceBackend } from '../../../src/kernels/reference/backend.js';
import { train } from '../../../src/training/index.js';
import { abortOnInterrupt } from '../../../src/training/node/index.js';
import { CHECKPOINT_EVERY, CONFIGURATION, toyPlan } from './toy.js';

const [folder = '', steps = '0', milliseconds = '0'] = process.argv.slice(2);
const plan = toyPlan(Number(steps));
const interruption = abortOnInterrupt();
await train(
  {
    ...plan,
    batch: async (step: number, micro: number) => {
      await pause(Number(milliseconds));
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
