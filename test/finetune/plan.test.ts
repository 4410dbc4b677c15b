/** The predicted peak memory of a training step against the measured one, over sizes and options. */
import {
  flatten,
  foldIn,
  type HostArray,
  hostArray,
  key,
  type Loss,
  orThrow,
} from '../../src/autodiff/index.js';
import { type PlanSettings, planFinetune, taskOf } from '../../src/finetune/index.js';
import { adapt, flat, lora } from '../../src/flatlora/index.js';
import {
  architectureOf,
  type Place,
  targetPaths,
  treeOfPaths,
} from '../../src/huggingface/index.js';
import { release, wasmBackend } from '../../src/kernels/index.js';
import { dequantised, quantiseTree, storeAs } from '../../src/models/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../../src/optimisers/index.js';
import { train } from '../../src/training/index.js';
import { readJson } from '../huggingface/golden.js';
import { gaussian } from '../models/support.js';

const LLAMA = {
  ...(readJson('llama/config.json') as object),
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 3,
  vocab_size: 400,
  max_position_embeddings: 256,
};

const BASE: PlanSettings = {
  method: 'flat-lora',
  rank: 8,
  alpha: 16,
  sigma: 0.05,
  precision: 'float32',
  checkpointing: false,
  batchSize: 4,
  microBatches: 1,
  maxLength: 64,
  maxTargetLength: 16,
  threads: 1,
};

const CASES: readonly (readonly [string, unknown, Partial<PlanSettings>])[] = [
  ['a Llama', LLAMA, {}],
  ['in bfloat16', LLAMA, { precision: 'bfloat16' }],
  ['in four bits', LLAMA, { precision: 'nf4' }],
  ['with blocks computed again', LLAMA, { checkpointing: true, maxLength: 128 }],
  ['of another rank, longer', LLAMA, { rank: 16, maxLength: 192, batchSize: 2 }],
  ['a T5', readJson('t5_v1_1/config.json'), { method: 'lora', maxLength: 40 }],
  ['a BERT', readJson('bert/config.json'), { maxLength: 24, batchSize: 8 }],
  ['a ViT', readJson('vit/config.json'), { batchSize: 16 }],
];

test.each(CASES)('%s', async (_, json, changes) => {
  const settings = { ...BASE, ...changes };
  const architecture = orThrow(architectureOf(json));
  const given = orThrow(architecture.config(json));
  const plan = planFinetune(architecture, given, settings);

  const config = { ...(given as object), checkpoint: settings.checkpointing } as never;
  const kind = taskOf(architecture);
  const places = architecture.places(config) as readonly Place[];
  const weights = treeOfPaths(
    places.map(({ path, shape }, i) => [
      path,
      hostArray(Float32Array.from(gaussian(i, shape, 0.05).data as Float64Array), shape),
    ]),
  );
  const base =
    settings.precision === 'float32'
      ? weights
      : settings.precision === 'nf4'
        ? quantiseTree('nf4')(weights)
        : storeAs('bfloat16')(weights);
  const targetModules = orThrow(targetPaths(architecture, config, kind.targetModules(config)));
  const method = lora({ rank: settings.rank, alpha: settings.alpha, targetModules });
  const { adapters } = orThrow(method.init(weights, key(0)));
  const backend = await wasmBackend({ threads: 1 });
  const onDevice = treeOfPaths(
    flatten<HostArray>(base).paths.map((path, i) => [
      path,
      backend.upload(flatten<HostArray>(base).leaves[i] as HostArray),
    ]),
  );
  const noise = flat({ sigma: settings.method === 'lora' ? 0 : settings.sigma });
  const taskLoss = kind.model(config).loss as Loss<unknown, unknown>;
  const loss: Loss<never, { base: unknown; rows: unknown }> = (a, batch, context) =>
    noise(adapt(dequantised(batch.base), method)(taskLoss))(a, batch.rows, context);
  const rows = kind.blank(config, settings.batchSize, { ...settings, pack: false, buckets: 1 });
  await train<never, { base: unknown; rows: unknown }, unknown>(
    {
      loss,
      optimiser: chain(
        clipByGlobalNorm(1),
        adamW({ learningRate: cosineSchedule(1e-3, { totalSteps: 2 }) }),
      ),
      params: adapters,
      totalSteps: 2,
      batch: () => ({ base: onDevice, rows }),
      runKey: foldIn(key(0), 0),
    },
    backend,
  );
  const { peakBytes } = backend.memory();
  release(backend, onDevice);
  await backend.dispose();
  expect(plan.peakBytes / peakBytes).toBeGreaterThan(0.9);
  expect(plan.peakBytes / peakBytes).toBeLessThan(1.1);
});
