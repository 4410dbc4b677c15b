/**
 * How much memory a program will take on WebAssembly, from its tape alone: it is planned and its code is
 * made as for a run, but nothing is allocated. So one can ask before anything is loaded.
 */
import { type Aval, normalTable, type Tape } from '../../autodiff/index.js';
import { bytesOf, inPlaceOutputs, placeIntermediates } from '../plan/memory.js';
import { planTape } from '../plan/plan.js';
import { GENERATOR } from './backend.js';
import { align } from './runtime/allocator.js';
import { chosenRelaxed, chosenThreads } from './runtime/setup.js';

export interface MemoryPrediction {
  /** Arrays that the program is given. */
  readonly inputBytes: number;
  /** Results that take the place of no input. */
  readonly outputBytes: number;
  readonly constantBytes: number;
  /** Intermediates, and what threads pack operands into. */
  readonly workspaceBytes: number;
  /** All of these, and the table of normal numbers: the backend's `peakBytes` in a run. */
  readonly peakBytes: number;
}

/**
 * @param donated whether an input is given away, by its position; such inputs are written over where the
 *   plan finds a result for their place.
 * @param threads of the backend; as many as it would take by default.
 */
export function predictMemory(
  tape: Tape,
  donated: (input: number) => boolean,
  threads = chosenThreads(),
): MemoryPrediction {
  const plan = planTape(tape, GENERATOR.limits);
  const code = GENERATOR.build(plan, {
    relaxed: chosenRelaxed(),
    shared: threads > 1,
    normalTable: 0,
  });
  const sum = (arrays: readonly Aval[]) => arrays.reduce((n, v) => n + bytesOf(v), 0);
  const inPlace = inPlaceOutputs(plan);
  const taken = inPlace.map((i) => i !== undefined && donated(i));
  const results = new Set(plan.outputs.map((v) => v.id));
  const inputBytes = sum(plan.inputs);
  const outputBytes = sum(plan.outputs.filter((_, i) => !taken[i]));
  const constantBytes = sum(
    plan.constants.map((c) => c.variable).filter((v) => !results.has(v.id)) as never,
  );
  const workspaceBytes =
    align(placeIntermediates(plan).arenaBytes) +
    align(code.sharedScratchBytes) +
    threads * code.scratchBytesPerThread;
  return {
    inputBytes,
    outputBytes,
    constantBytes,
    workspaceBytes,
    peakBytes: normalTable.byteLength + inputBytes + outputBytes + constantBytes + workspaceBytes,
  };
}
