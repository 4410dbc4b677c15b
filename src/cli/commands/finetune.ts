/** `flatlora finetune`: trains an adapter on a file of examples. */
import { orThrow } from '../../autodiff/index.js';
import { finetune, finetuneSettings, writeRunReport } from '../../finetune/index.js';
import { terminalProgress } from '../../training/node/index.js';
import { type Command, DATA_FLAGS, type Flag, SHARED_FLAGS } from '../command.js';
import { EXIT } from '../exit.js';

const FLAGS: readonly Flag[] = [
  SHARED_FLAGS.model,
  {
    field: 'train',
    kind: 'text',
    help: 'examples: .jsonl, .json, .csv, .tsv; images: a folder with a subfolder per class, …-images-idx3-ubyte or CIFAR’s .bin (also .gz)',
  },
  { field: 'validation', kind: 'text', help: 'examples that checkpoints are compared on' },
  {
    field: 'validationShare',
    kind: 'number',
    help: 'share of the training examples kept for that where none are given (default: 0.1)',
  },
  {
    field: 'out',
    kind: 'text',
    help: 'folder of the run; an interrupted run in it is gone on with',
  },
  ...DATA_FLAGS,
  { field: 'pack', kind: 'switch', help: 'plain texts one after another in full rows' },
  { field: 'buckets', kind: 'number', help: 'lengths that batches are padded to (default: 3)' },
  {
    field: 'method',
    kind: 'text',
    help: 'lora, flat-lora, rslora, lora+, pissa, lora-ga, dora, adalora, lora-pro, …, full (default: flat-lora)',
  },
  { field: 'rank', kind: 'number', help: 'r (default: 8)' },
  { field: 'alpha', kind: 'number', help: 'α of s = α/r (default: 16)' },
  {
    field: 'sigma',
    kind: 'number',
    help: 'σ of the noise, for methods with flat- (default: 0.05)',
  },
  { field: 'rho', kind: 'number', help: 'radius of SAM and its kin' },
  {
    field: 'targetModules',
    kind: 'list',
    help: 'modules that get an adapter, by our names or the checkpoint’s (default: all of the blocks)',
  },
  { field: 'learningRate', kind: 'number', help: 'peak learning rate (default: 5e-4)' },
  { field: 'schedule', kind: 'text', help: 'cosine or constant (default: cosine)' },
  { field: 'warmUp', kind: 'number', help: 'share of the steps (default: 0.03)' },
  { field: 'weightDecay', kind: 'number', help: 'of AdamW (default: 0)' },
  { field: 'maxNorm', kind: 'number', help: 'length that gradients are clipped to (default: 1)' },
  { field: 'steps', kind: 'number', help: 'optimiser steps (default: from --epochs)' },
  { field: 'epochs', kind: 'number', help: 'times through the examples (default: 1)' },
  { field: 'batchSize', kind: 'number', help: 'examples a step (default: 16)' },
  { field: 'microBatches', kind: 'number', help: 'parts that a step is computed in (default: 1)' },
  {
    field: 'precision',
    kind: 'text',
    help: 'of frozen matrices: float32, bfloat16, float16, int8, nf4 (default: float32)',
  },
  {
    field: 'checkpointing',
    kind: 'switch',
    help: 'compute blocks again in the backward pass: less memory, more time',
  },
  { field: 'evaluateEvery', kind: 'number', help: 'steps between evaluations (default: a tenth)' },
  { field: 'checkpointEvery', kind: 'number', help: 'steps between checkpoints (default: 100)' },
  SHARED_FLAGS.seed,
  SHARED_FLAGS.backend,
  SHARED_FLAGS.threads,
];

export const finetuneCommand: Command = {
  name: 'finetune',
  summary: 'train an adapter (Flat-LoRA by default) on a file of examples',
  examples: [
    'flatlora finetune --model ./llama --train data.jsonl --out run',
    'flatlora finetune --model ./t5 --train pairs.csv --template "summarise: {text}" --target "{summary}" --out run',
    'flatlora finetune --model ./vit --train images/ --method lora --epochs 3 --out run',
  ],
  flags: FLAGS,
  run: async (given, { out, err, signal }) => {
    const settings = orThrow(finetuneSettings(given));
    const result = await finetune(settings, {
      signal,
      say: err,
      observe: terminalProgress({ label: settings.method, stream: { write: err } }),
    });
    if (result.reason === 'interrupted') {
      err(`stopped after step ${result.steps}; the same command goes on from there`);
      return EXIT.interrupted;
    }
    await writeRunReport(settings, result);
    out(result);
    return EXIT.ok;
  },
};
