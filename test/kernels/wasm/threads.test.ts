/** Threads: they run programs together, survive traps, and let the event loop and the process go. */
import {
  add,
  FlatloraError,
  type HostArray,
  ints,
  type Tape,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import type { Backend, DeviceArray } from '../../../src/kernels/index.js';
import { type CodeGenerator, wasmBackend } from '../../../src/kernels/wasm/backend.js';
import { FRAME } from '../../../src/kernels/wasm/barrier.js';
import { i32, when } from '../../../src/kernels/wasm/instructions.js';
import type { Platform } from '../../../src/kernels/wasm/runtime/platform.js';
import { setUp } from '../../../src/kernels/wasm/runtime/setup.js';
import { stubGenerator, TRAP } from './stubs.js';

/** A tape of one input and one output of n integers. */
const tapeOf = (n: number): Tape => trace((x: Value) => add(x, x), ints(new Int32Array(n)));

async function withBackend<A>(
  threads: number,
  generator: CodeGenerator,
  work: (backend: Backend) => Promise<A>,
): Promise<A> {
  const backend = await wasmBackend({ threads }, generator);
  try {
    return await work(backend);
  } finally {
    await backend.dispose();
  }
}

const dataOf = async (backend: Backend, [array]: readonly DeviceArray[]): Promise<number[]> =>
  Array.from(((await backend.download(array as DeviceArray)) as HostArray).data);

describe.each([1, 2, 3, 5])('%i threads', (threads) => {
  test('every thread does every step, and no step begins before the last has ended', async () => {
    // Each thread adds 1 to the step's counter; word 7 counts who finds the one before not full.
    const generator = stubGenerator(6, ({ step, word, increase, threads: count }) => [
      ...when(
        i32.gtS(step, i32.const(0)),
        when(i32.eq(word(0, i32.sub(step, i32.const(1))), count), [], increase(0, i32.const(7), 1)),
      ),
      ...increase(0, step, 1),
    ]);
    await withBackend(threads, generator, async (backend) => {
      const executable = await backend.compile(tapeOf(8));
      for (let round = 1; round <= 3; round++) {
        const fresh = backend.upload(ints(new Int32Array(8)));
        await executable.run([fresh], [false]);
        expect(await dataOf(backend, [fresh])).toEqual([...new Array(6).fill(threads), 0, 0]);
        backend.release(fresh);
      }
    });
  });

  test('a trap in one thread rejects that run and no other', async () => {
    // The first thread traps when the input's first word is 13; the others wait for it.
    const generator = stubGenerator(2, ({ thread, step, word, store }) => [
      ...when(
        i32.and(i32.eq(word(0, i32.const(0)), i32.const(13)), i32.and(i32.eqz(thread), step)),
        TRAP,
      ),
      ...store(1, i32.const(0), word(0, i32.const(0))),
    ]);
    await withBackend(threads, generator, async (backend) => {
      const executable = await backend.compile(tapeOf(1));
      const run = async (x: number) => {
        const input = backend.upload(ints([x]));
        const results = await executable.run([input], [true]);
        const data = await dataOf(backend, results);
        results.forEach(backend.release);
        return data;
      };
      expect(await run(1)).toEqual([1]);
      const before = backend.memory();
      const all = await Promise.allSettled([run(2), run(13), run(4), run(13), run(6)]);
      expect(all.map((r) => (r.status === 'fulfilled' ? r.value : r.status))).toEqual([
        [2],
        'rejected',
        [4],
        'rejected',
        [6],
      ]);
      const failure = (all[1] as PromiseRejectedResult).reason;
      expect(failure).toBeInstanceOf(FlatloraError);
      expect(failure.message).toMatch(/^wasm: a kernel failed: .*RuntimeError: unreachable/);
      expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
    });
  });

  test('runs take turns in the order of their calls', async () => {
    // Adds 1 to the input in place of the output: a run that came too early would see less.
    const generator = stubGenerator(1, ({ thread, word, store }) =>
      when(i32.eqz(thread), [
        ...store(1, i32.const(0), word(0, i32.const(0))),
        ...store(0, i32.const(0), i32.add(word(0, i32.const(0)), i32.const(1))),
      ]),
    );
    await withBackend(threads, generator, async (backend) => {
      const executable = await backend.compile(tapeOf(1));
      const input = backend.upload(ints([0]));
      const runs = Array.from({ length: 50 }, () => executable.run([input], [false]));
      // Given up while runs wait that read it: they must still find it.
      backend.release(input);
      const other = backend.upload(ints([777]));
      const results = await Promise.all(runs);
      const seen = await Promise.all(results.map((r) => dataOf(backend, r)));
      expect(seen.flat()).toEqual(Array.from({ length: 50 }, (_, i) => i));
      expect(await dataOf(backend, [other])).toEqual([777]);
      await expect(executable.run([input], [false])).rejects.toThrow(/released or donated/);
    });
  });

  test('each thread has scratch of its own, and all share some', async () => {
    const generator = stubGenerator(
      2,
      ({ frame, thread, threads: count, step, store }) => {
        const own = i32.add(i32.load(frame, 4 * FRAME.scratch), i32.mul(thread, i32.const(128)));
        const shared = i32.load(frame, 4 * FRAME.sharedScratch);
        return [
          ...when(i32.eqz(step), [
            ...i32.store(own, i32.add(thread, i32.const(100)), 124),
            ...when(i32.eqz(thread), i32.store(shared, i32.const(55), 60)),
          ]),
          ...when(step, [
            ...store(1, thread, i32.load(own, 124)),
            ...when(i32.eqz(thread), store(1, count, i32.load(shared, 60))),
          ]),
        ];
      },
      { perThread: 128, shared: 64 },
    );
    await withBackend(threads, generator, async (backend) => {
      const executable = await backend.compile(tapeOf(threads + 1));
      const input = backend.upload(ints(new Int32Array(threads + 1)));
      const results = await executable.run([input], [false]);
      expect(await dataOf(backend, results)).toEqual([
        ...Array.from({ length: threads }, (_, i) => 100 + i),
        55,
      ]);
    });
  });

  test('times of single steps', async () => {
    const generator = stubGenerator(3, ({ thread, step, increase }) =>
      when(i32.eqz(thread), increase(0, step, 1)),
    );
    await withBackend(threads, generator, async (backend) => {
      const executable = await backend.compile(tapeOf(3));
      const input = backend.upload(ints(new Int32Array(3)));
      const before = backend.memory();
      const rows = await executable.profile?.([input], 4);
      expect(rows?.map((r) => r.kernel)).toEqual(['b0', 'b1', 'b2']);
      expect(rows?.every((r) => r.ms >= 0)).toBe(true);
      // Once to warm up and four times for the medians.
      expect(await dataOf(backend, [input])).toEqual([5, 5, 5]);
      expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
    });
  });
});

test('fresh programs keep their threads in step', async () => {
  // As above, with programs that the engine has not optimised yet: V8 11.3 let threads through early.
  const generator = stubGenerator(12, ({ step, word, increase, threads: count }) => [
    ...when(
      i32.gtS(step, i32.const(0)),
      when(i32.eq(word(0, i32.sub(step, i32.const(1))), count), [], increase(0, i32.const(12), 1)),
    ),
    ...increase(0, step, 1),
  ]);
  await withBackend(3, generator, async (backend) => {
    for (let program = 0; program < 60; program++) {
      const executable = await backend.compile(tapeOf(13));
      const fresh = backend.upload(ints(new Int32Array(13)));
      for (const r of await executable.run([fresh], [false])) backend.release(r);
      expect(await dataOf(backend, [fresh])).toEqual([...new Array(12).fill(3), 0]);
      backend.release(fresh);
      executable.dispose();
    }
  });
});

test('the event loop goes on while threads work', async () => {
  const generator = stubGenerator(400, ({ step, increase, thread }) => [
    ...when(i32.eqz(thread), increase(0, step, 1)),
  ]);
  await withBackend(2, generator, async (backend) => {
    const executable = await backend.compile(tapeOf(400));
    const input = backend.upload(ints(new Int32Array(400)));
    let running = true;
    let turns = 0;
    const turn = () => {
      turns += 1;
      if (running) setImmediate(turn);
    };
    setImmediate(turn);
    for (let i = 0; i < 20; i++) {
      for (const r of await executable.run([input], [false])) backend.release(r);
    }
    running = false;
    expect(turns).toBeGreaterThan(20);
    expect(await dataOf(backend, [input])).toEqual(new Array(400).fill(20));
  });
});

test('2,000 runs leave memory as it was', async () => {
  const generator = stubGenerator(1, ({ thread, word, store }) =>
    when(i32.eqz(thread), store(1, i32.const(0), i32.add(word(0, i32.const(0)), i32.const(1)))),
  );
  await withBackend(2, generator, async (backend) => {
    const executable = await backend.compile(tapeOf(1000));
    let state = backend.upload(ints(new Int32Array(1000)));
    const advance = async (runs: number) => {
      for (let i = 0; i < runs; i++) {
        [state] = (await executable.run([state], [true])) as [DeviceArray];
      }
      return { ...backend.memory(), address: state.handle };
    };
    const early = await advance(10);
    expect(await advance(2000)).toEqual(early);
    expect((await dataOf(backend, [state]))[0]).toBe(2010);
  });
});

test('programs that come and go leave memory as it was', async () => {
  const generator = stubGenerator(1, ({ thread, step, store }) =>
    when(i32.eqz(thread), store(1, i32.const(0), step)),
  );
  await withBackend(2, generator, async (backend) => {
    const input = backend.upload(ints([1]));
    const once = async () => {
      const executable = await backend.compile(tapeOf(1));
      const results = await executable.run([input], [false]);
      executable.dispose();
      const [{ handle }] = results as readonly [DeviceArray];
      results.forEach(backend.release);
      return handle;
    };
    const handle = await once();
    const before = backend.memory();
    for (let i = 0; i < 50; i++) expect(await once()).toBe(handle);
    expect(backend.memory()).toEqual(before);
  });
});

test('a run that waits when its backend ends is refused, and the backend ends', async () => {
  const generator = stubGenerator(1, () => []);
  const backend = await wasmBackend({ threads: 2 }, generator);
  const executable = await backend.compile(tapeOf(1));
  const runs = [1, 2, 3].map(() => executable.run([backend.upload(ints([1]))], [true]));
  const outcome = Promise.allSettled(runs);
  await backend.dispose();
  expect((await outcome).map((r) => r.status)).toEqual(['rejected', 'rejected', 'rejected']);
});

describe('what is asked for', () => {
  const page: Platform = { cores: 8, offerRelaxedSimd: () => undefined };

  test('without shared memory there is one thread, and asking for more is an error', async () => {
    const setup = await setUp({}, page);
    expect([setup.threads.count, setup.shared]).toEqual([1, false]);
    await expect(setUp({ threads: 2 }, page)).rejects.toThrow(/cross-origin isolated/);
  });

  test.each([0, -1, 1.5, Number.NaN])('%s threads are refused', async (threads) => {
    await expect(wasmBackend({ threads })).rejects.toThrow(/expected an integer above 0/);
  });

  test('where workers are forbidden the calling thread does the work, unless they were asked for', async () => {
    const forbidden: Platform = {
      ...page,
      startThread: (_, { onFailure }) => {
        setImmediate(() => onFailure('forbidden by policy'));
        return { post: () => undefined, keepAlive: () => undefined, stop: async () => undefined };
      },
    };
    const setup = await setUp({}, forbidden);
    expect([setup.threads.count, setup.shared]).toEqual([1, false]);
    await expect(setUp({ threads: 4 }, forbidden)).rejects.toThrow(/forbidden by policy/);
  });

  test('relaxed SIMD is asked of the engine only when it is missing and wanted', async () => {
    let asked = 0;
    const platform = {
      ...page,
      offerRelaxedSimd: () => {
        asked += 1;
      },
    };
    expect((await setUp({ relaxed: false }, platform)).relaxed).toBe(false);
    expect(asked).toBe(0);
    // Node has it from here on, by itself or since the flag is set.
    expect((await setUp({})).relaxed).toBe(true);
    expect((await setUp({}, platform)).relaxed).toBe(true);
    expect(asked).toBe(0);
  });
});
