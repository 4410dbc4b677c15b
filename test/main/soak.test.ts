/** The soak: memory that holds passes, an array or a heap that grows does not. */
import { floats } from '../../src/autodiff/index.js';
import { type Backend, wasmBackend } from '../../src/kernels/index.js';
import { type SoakReport, soak } from '../../src/main/soak.js';

/** 150 steps on a backend that may be changed; the process grows as told. */
async function shortSoak(
  change: (backend: Backend) => Backend = (b) => b,
  resident: (call: number) => number = () => 0,
) {
  const backend = await wasmBackend({ threads: 1 });
  const reports: SoakReport[] = [];
  let calls = 0;
  try {
    const verdict = await soak(change(backend), {
      steps: 150,
      every: 50,
      residentBound: 1000,
      residentBytes: () => resident(calls++),
      report: (r) => reports.push(r),
    });
    return { verdict, reports };
  } finally {
    await backend.dispose();
  }
}

test('memory that holds passes, and is reported', async () => {
  const { verdict, reports } = await shortSoak();
  expect(verdict).toEqual({ steps: 150, failures: [] });
  expect(reports.map((r) => r.step)).toEqual([50, 100, 150]);
  expect(reports[0]?.liveBytes).toBeGreaterThan(0);
});

test('an array that is kept fails, with the step', async () => {
  let steps = 0;
  const { verdict } = await shortSoak((backend) => ({
    ...backend,
    // The loop downloads one report a step.
    download: async (array) => {
      steps += 1;
      if (steps === 120) backend.upload(floats([1]));
      return backend.download(array);
    },
  }));
  expect(verdict.failures).toEqual([expect.stringMatching(/^live bytes grew .* step 120$/)]);
});

test('a process that grows beyond the bound fails, but not in its warm-up', async () => {
  const late = await shortSoak(undefined, (call) => (call < 2 ? 0 : 1001));
  expect(late.verdict.failures).toEqual([expect.stringMatching(/^the process grew by/)]);
  const early = await shortSoak(undefined, (call) => (call < 1 ? 0 : 1001));
  expect(early.verdict.failures).toEqual([]);
});
