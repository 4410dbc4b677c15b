/** A compiled tape of the wasm backend: how a run gets its memory, takes its turn, and may fail. */
import { type Aval, FlatloraError, range, type Tape, type Var } from '../../autodiff/index.js';
import type { DeviceArray, Executable } from '../backend.js';
import { type LiveArrays, requireSignature } from '../liveArrays.js';
import { type Cost, kernelCost } from '../plan/cost.js';
import { bytesOf, inPlaceOutputs } from '../plan/memory.js';
import { type AnyKernel, outputsOf, type Plan, planTape, printPlan } from '../plan/plan.js';
import { kernelTimes } from '../profile.js';
import type { CodeGenerator } from './backend.js';
import type { Queue } from './runtime/queue.js';
import { outOfMemory, type Premises, residentProgram } from './runtime/residentProgram.js';

/** What an executable uses of its backend. */
export interface Surroundings extends Premises {
  readonly live: LiveArrays<number>;
  readonly queue: Queue;
  readonly relaxed: boolean;
  readonly shared: boolean;
  /** Address of the table of normals (`normalTable.ts`). */
  readonly normalTable: number;
}

const REPEATS = 5;

/** Costs of the module's steps. Some kernels take several, of which the last bears the cost. */
function costsOfSteps(names: readonly string[], plan: Plan<AnyKernel>): readonly Cost[] {
  const last = new Map(names.map((name, i) => [name.split(' ')[0], i]));
  const costs = names.map((): Cost => ({ flops: 0, bytes: 0 }));
  for (const kernel of plan.kernels) {
    const step = last.get(`b${outputsOf(kernel)[0]?.id}`);
    if (step !== undefined) costs[step] = kernelCost(kernel);
  }
  return costs;
}

export async function createExecutable(
  tape: Tape,
  { limits, build }: CodeGenerator,
  { live, queue, relaxed, shared, normalTable, ...premises }: Surroundings,
): Promise<Executable> {
  const { memory } = premises;
  const plan = planTape(tape, limits);
  const code = build(plan, { relaxed, shared, normalTable });
  const module = await WebAssembly.compile(code.bytes as Uint8Array<ArrayBuffer>);
  live.requireOpen();
  const program = residentProgram(premises, plan, code, module);
  live.count(program.constantCount, program.constantBytes);
  const inPlace = inPlaceOutputs(plan);
  let ended = false;

  const addressesOf = (inputs: readonly DeviceArray[]): readonly number[] => {
    if (ended) throw new FlatloraError('backend', 'wasm: the program was disposed before');
    requireSignature('wasm', plan.inputs, inputs);
    return inputs.map(live.handleOf);
  };

  /** Memory for the outputs that get none of an input; all or nothing. */
  const allocateOutputs = (taken: readonly (number | undefined)[]): readonly number[] => {
    const fresh: number[] = [];
    return plan.outputs.map((v, i) => {
      const given = taken[i];
      if (given !== undefined) return given;
      const address = memory.allocate(bytesOf(v));
      if (address === undefined) {
        fresh.forEach(memory.free);
        throw outOfMemory(memory, `result ${i}`, bytesOf(v), plan);
      }
      fresh.push(address);
      return address;
    });
  };

  const sumOfBytes = (arrays: readonly Aval[]) => arrays.reduce((n, v) => n + bytesOf(v), 0);

  const run: Executable['run'] = async (inputs, donated) => {
    const addresses = addressesOf(inputs);
    const given = [...new Set(inputs.filter((_, i) => donated[i]))];
    // An array that is passed twice is still read through its other place.
    const once = (i: number) =>
      addresses.indexOf(addresses[i] as number) === addresses.lastIndexOf(addresses[i] as number);
    const taken = inPlace.map((i) =>
      i !== undefined && donated[i] && once(i) ? addresses[i] : undefined,
    );
    // Given away from now on, so that nothing called later can count on them.
    for (const array of given) live.forget(array);
    return queue.add(async () => {
      let outputs: readonly number[] = [];
      const freeFresh = () => {
        for (const [i, address] of outputs.entries()) if (!taken[i]) memory.free(address);
      };
      try {
        outputs = allocateOutputs(taken);
        program.prepare(addresses, outputs);
      } catch (cause) {
        freeFresh();
        for (const array of given) live.restore(array, bytesOf(array));
        throw cause;
      }
      const fresh = plan.outputs.filter((_, i) => taken[i] === undefined);
      live.reach(sumOfBytes(given) + sumOfBytes(fresh) + program.workspaceBytes);
      const kept = new Set(taken);
      const freeGiven = (all: boolean) => {
        for (const { handle } of given) {
          if (all || !kept.has(handle as number)) memory.free(handle as number);
        }
      };
      try {
        await program.run();
        live.requireOpen();
      } catch (cause) {
        // What was to be written over may be spoilt: what was given away is gone.
        freeFresh();
        freeGiven(true);
        throw cause;
      }
      freeGiven(false);
      return outputs.map((address, i) => {
        const v = plan.outputs[i] as Var;
        return live.hold(v, address, bytesOf(v));
      });
    });
  };

  /** Takes a turn for `work` on the prepared program; the outputs are dropped. */
  const measure = async <A>(inputs: readonly DeviceArray[], work: () => Promise<A>): Promise<A> => {
    const addresses = addressesOf(inputs);
    return queue.add(async () => {
      const outputs = allocateOutputs([]);
      try {
        program.prepare(addresses, outputs);
        return await work();
      } finally {
        outputs.forEach(memory.free);
      }
    });
  };

  const profile: Executable['profile'] = (inputs, repeats = REPEATS) =>
    measure(inputs, async () => {
      // The first time the engine may still be compiling.
      await program.time();
      const times: (readonly number[])[] = [];
      for (const _ of range(repeats)) times.push(await program.time());
      return kernelTimes(code.kernelNames, costsOfSteps(code.kernelNames, plan), times);
    });

  const runInParts: Executable['runInParts'] = (inputs, parts, turn) =>
    measure(inputs, async () => {
      const start = (part: number) => Math.round((part * code.kernelNames.length) / parts);
      const times: number[] = [];
      for (const part of range(parts)) {
        await turn(async () => {
          const begin = performance.now();
          await program.run(start(part), start(part + 1));
          times.push(performance.now() - begin);
        });
      }
      return times;
    });

  return {
    run,
    profile,
    runInParts,
    describe: () =>
      `${printPlan(plan)}\n\n${code.kernelNames.map((name, i) => `${i}: ${name}`).join('\n')}`,
    dispose: () => {
      if (ended) return;
      ended = true;
      live.count(-program.constantCount, -program.constantBytes);
      queue.afterwards(program.dispose);
    },
  };
}
