/** What a step of each method costs, measured side by side on an otherwise idle machine. */
import { foldIn, type HostArray, key, orThrow, treeMap } from '../autodiff/index.js';
import { compile, type DeviceArray, release } from '../kernels/index.js';
import { adamW } from '../optimisers/index.js';
import { initialState, takeRows, trainStep } from '../training/index.js';
import { openWorkerBackend } from './backend.js';
import { adapterOf, type Method, objective } from './methods.js';
import { type Batch, type HostWeights, taskLoss, type Weights } from './model.js';

export interface StepTiming {
  readonly method: string;
  /** Median seconds of a step. */
  readonly seconds: number;
  /** Median, 10th and 90th percentile of this method's time over LoRA's, round by round. */
  readonly ratio: readonly [number, number, number];
}

/** The element that a share `q` of the sorted numbers lie below; 0.5 is the median. */
export const quantile = (xs: readonly number[], q: number): number =>
  [...xs].sort((a, b) => a - b)[Math.min(xs.length - 1, Math.floor(q * xs.length))] as number;

/** Times one step of every method in turn, `rounds` times over, on a backend as workers have it. */
export async function timeSteps(
  methods: readonly Method[],
  base: HostWeights,
  labelled: Batch<HostArray>,
  backendName: string,
  { rounds, batchSize }: { readonly rounds: number; readonly batchSize: number },
): Promise<readonly StepTiming[]> {
  const backend = await openWorkerBackend(backendName);
  const batch = takeRows(
    labelled,
    Array.from({ length: batchSize }, (_, i) => i),
  );
  const runKey = foldIn(key(0), 1);
  const runners = methods.map((method) => {
    const adapter = adapterOf(method.name, method.settings);
    const { adapters, base: own } = orThrow(adapter.init(base, key(0)));
    const loss = objective<Weights, Batch>(own, adapter, method.settings, taskLoss);
    const optimiser = adamW({ learningRate: method.settings.learningRate });
    const program = compile(trainStep(loss as never, optimiser, { totalSteps: 1000 }), backend, {
      donate: [0],
    });
    let state: unknown = treeMap(
      (x: HostArray) => backend.upload(x),
      initialState(adapters, optimiser),
    );
    return async (): Promise<number> => {
      const start = performance.now();
      const result = (await program(state, batch, runKey)) as unknown as {
        state: unknown;
        loss: DeviceArray;
        gradientNorm: DeviceArray;
      };
      await backend.download(result.loss);
      release(backend, [result.loss, result.gradientNorm]);
      state = result.state;
      return (performance.now() - start) / 1000;
    };
  });
  const times = methods.map((): number[] => []);
  for (let round = -3; round < rounds; round++) {
    for (const [i, run] of runners.entries()) {
      const seconds = await run();
      if (round >= 0) times[i]?.push(seconds);
    }
  }
  await backend.dispose();
  const baseline = times[methods.findIndex((m) => m.name === 'lora')] as number[];
  return methods.map(({ name }, i) => {
    const own = times[i] as number[];
    const ratios = own.map((t, r) => t / (baseline[r] as number));
    return {
      method: name,
      seconds: quantile(own, 0.5),
      ratio: [quantile(ratios, 0.5), quantile(ratios, 0.1), quantile(ratios, 0.9)],
    };
  });
}
