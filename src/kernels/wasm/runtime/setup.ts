/** What a backend runs on: the engine's features, the memory, and the threads. */
import { FlatloraError } from '../../../autodiff/index.js';
import { hasRelaxedSimd, hasSimd } from './engine.js';
import { createMemory, type WasmMemory } from './memory.js';
import { currentPlatform, type Platform } from './platform.js';
import { callingThread, type Threads, workerThreads } from './threads.js';
import { MAILBOX_WORDS } from './workerCode.js';

export interface WasmOptions {
  /**
   * Threads that run programs; as many as the machine runs at once by default (at most 32), and one
   * where memory cannot be shared: pages need the two cross-origin isolation headers. With 1 the
   * calling thread does the work and is busy meanwhile, else it only waits.
   */
  readonly threads?: number;
  /** Fused multiply-add (relaxed SIMD); used where the engine has it by default. */
  readonly relaxed?: boolean;
}

export interface Setup {
  readonly memory: WasmMemory;
  readonly threads: Threads;
  /** Whether the memory is shared, which modules must know. */
  readonly shared: boolean;
  readonly relaxed: boolean;
}

/** More threads than this spend their time waiting for each other. */
const MOST_THREADS = 32;

const fail = (message: string) => new FlatloraError('backend', `wasm: ${message}`);

function chooseRelaxed(wanted: boolean | undefined, platform: Platform): boolean {
  if (wanted === false) return false;
  if (!hasRelaxedSimd()) platform.offerRelaxedSimd();
  const relaxed = hasRelaxedSimd();
  if (wanted === true && !relaxed) throw fail('this engine has no relaxed SIMD');
  return relaxed;
}

/** One thread, and a memory of its own. */
function alone(): Omit<Setup, 'relaxed'> {
  const memory = createMemory(false);
  return { memory, threads: callingThread(memory.memory), shared: false };
}

async function together(
  count: number,
  startThread: NonNullable<Platform['startThread']>,
): Promise<Omit<Setup, 'relaxed'>> {
  const memory = createMemory(true);
  const mailbox = memory.allocate(4 * MAILBOX_WORDS) as number;
  const threads = await workerThreads(memory.memory, mailbox, count, startThread);
  return { memory, threads, shared: true };
}

/** How many threads a backend takes unless told. */
export const chosenThreads = ({ startThread, cores }: Platform = currentPlatform()): number =>
  startThread === undefined ? 1 : Math.max(1, Math.min(cores, MOST_THREADS));

/** Whether a backend multiplies and adds at once unless told. */
export const chosenRelaxed = (platform: Platform = currentPlatform()): boolean =>
  chooseRelaxed(undefined, platform);

/** @throws FlatloraError (rejection) when the engine lacks what is needed or asked for. */
export async function setUp(
  { threads, relaxed }: WasmOptions,
  platform: Platform = currentPlatform(),
): Promise<Setup> {
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new FlatloraError('argument', `wasm: threads is ${threads}, expected an integer above 0`);
  }
  if (!hasSimd()) throw fail('this engine has no WebAssembly SIMD');
  const chosen = chooseRelaxed(relaxed, platform);
  const { startThread } = platform;
  const count = threads ?? chosenThreads(platform);
  if (count === 1) return { ...alone(), relaxed: chosen };
  if (startThread === undefined) {
    throw fail(
      `threads is ${count}, but memory cannot be shared here: a page must be cross-origin isolated`,
    );
  }
  try {
    return { ...(await together(count, startThread)), relaxed: chosen };
  } catch (cause) {
    // A page's policy may forbid workers. Who asked for them must hear of it.
    if (threads !== undefined) throw cause;
    return { ...alone(), relaxed: chosen };
  }
}
