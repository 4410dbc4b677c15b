/** Table 7: time and memory of every method beside LoRA's; and the arithmetic of Llama-2-7B. */
import {
  foldIn,
  hostArray,
  hostNormal,
  ints,
  key,
  type Loss,
  range,
} from '../../autodiff/index.js';
import {
  hasMethod,
  type LossTransformer,
  methodLabel,
  methodNames,
} from '../../finetune/methods.js';
import { flat, sam } from '../../flatlora/index.js';
import { wasmBackend } from '../../kernels/index.js';
import {
  initVisionTransformer,
  softmaxCrossEntropy,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../../models/index.js';
import { llamaStep } from '../costs/llama.js';
import { RANK, stateRows } from '../costs/state.js';
import { memoryOf, type TimedTask, timeBesideLora } from '../costs/timing.js';
import type { Cell, CellResult, Experiment, Measures } from '../experiment.js';
import { median } from '../fineTune.js';
import { select } from '../tables.js';
import { methodSettings, settingsOf } from '../vision/cells.js';
import { type Batch, MODEL } from '../vision/model.js';

/** Products that are large beside the rest of the step: width 192, 1,024 tokens. */
const LARGE: VisionTransformerConfig = { ...MODEL, width: 192, heads: 6 };
const IMAGES = 64;

const PLANS: Readonly<
  Record<string, { readonly label: string; readonly transform: LossTransformer }>
> = {
  lora: { label: 'LoRA', transform: (loss) => loss },
  flat: { label: 'Flat-LoRA', transform: flat() },
  factors: { label: 'Flat-LoRA on A, B', transform: flat({ on: 'factors' }) },
  'sam-factors': { label: 'SAM on A, B', transform: sam() },
  'sam-weights': { label: 'SAM on W', transform: sam({ over: 'weights' }) },
};

/** With the noise, besides the methods by themselves. */
const FLAT_VERSIONS = ['flat-lora', 'flat-pissa', 'flat-dora', 'flat-adalora'];

/** A task whose numbers do not matter. */
function timedTask(quick: boolean): TimedTask {
  const config = quick ? MODEL : LARGE;
  const count = quick ? 8 : IMAGES;
  const model = visionTransformer(config);
  const loss: Loss<VisionTransformerWeights, Batch> = (weights, { images, labels }) =>
    softmaxCrossEntropy(model(weights, images), labels);
  return {
    loss: loss as Loss<unknown, unknown>,
    base: initVisionTransformer(config, key(51)),
    batch: {
      images: hostArray(Float32Array.from(hostNormal(foldIn(key(51), 1), 256 * count)), [
        count,
        16,
        16,
      ]),
      labels: ints(range(count).map((i) => i % 10)),
    },
  };
}

const openBackend = () => wasmBackend({ threads: 1 });

async function measure(cell: Cell, quick: boolean): Promise<Measures> {
  const method = cell.method as string;
  const task = timedTask(quick);
  const own = methodSettings(cell);
  const lora = methodSettings({ ...settingsOf('lora') });
  const rounds = cell.rounds as number;
  const times = await timeBesideLora(method, own, lora, task, openBackend, rounds);
  const ratios = times.own.map((t, i) => t / (times.lora[i] as number)).toSorted((a, b) => a - b);
  const at = (share: number) => ratios[Math.floor(share * (ratios.length - 1))] as number;
  const { live, peak } = await memoryOf(method, own, task, openBackend);
  return {
    seconds: median(times.own),
    ratio: at(0.5),
    low: at(0.1),
    high: at(0.9),
    live,
    peak,
  };
}

const number = (results: readonly CellResult[], name: string, measure: string): number =>
  Number(select(results, { method: name })[0]?.measures[measure]);

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2);
const signed = (text: string): string =>
  text.startsWith('-') ? text.replace('-', '−') : `+${text}`;

function measuredRows(results: readonly CellResult[]) {
  const base = { live: number(results, 'lora', 'live'), peak: number(results, 'lora', 'peak') };
  return results
    .filter(({ cell }) => cell.kind === 'measured')
    .map(({ cell, measures }) => {
      const [seconds, ratio, low, high, live, peak] = [
        'seconds',
        'ratio',
        'low',
        'high',
        'live',
        'peak',
      ].map((name) => Number(measures[name])) as [number, number, number, number, number, number];
      return [
        methodLabel(String(cell.method)),
        (1000 * seconds).toFixed(1),
        ratio.toFixed(3),
        `${low.toFixed(3)} to ${high.toFixed(3)}`,
        megabytes(live),
        signed(megabytes(live - base.live)),
        signed(megabytes(peak - base.peak)),
      ];
    });
}

function plannedRows(results: readonly CellResult[]) {
  const plans = results.filter(({ cell }) => cell.kind === 'planned');
  const lora = plans.find(({ cell }) => cell.plan === 'lora')?.measures;
  return plans.map(({ cell, measures }) => {
    const total = Number(measures.intermediateBytes) + Number(measures.heldBytes);
    const baseline = Number(lora?.intermediateBytes) + Number(lora?.heldBytes);
    return [
      PLANS[String(cell.plan)]?.label ?? '',
      (Number(measures.flops) / 1e12).toFixed(2),
      (Number(measures.flops) / Number(lora?.flops)).toFixed(4),
      (Number(measures.heldBytes) / 2 ** 30).toFixed(2),
      (Number(measures.intermediateBytes) / 2 ** 30).toFixed(3),
      signed(((total - baseline) / 2 ** 20).toFixed(1)),
    ];
  });
}

export const table7: Experiment<undefined> = {
  name: 'table-7',
  counterpart: 'Table 7: time and memory',
  departures: [
    `Measured: a step of a ViT (width 192, three blocks, 1,024 tokens) on the wasm backend with one thread; each method and LoRA in turn in one process. No other process should run beside it.`,
    'On paper: the plan of a step of Llama-2-7B (bfloat16 base, rank 8 on all linear layers, two sequences of 1,024 tokens, no recomputation of activations), traced at its sizes and not run; continued from one and two blocks to 32. Moments of the optimiser are not in it, nor the integer work of random numbers.',
  ],
  data: [],
  alone: () => true,
  cells: ({ quick }) => [
    ...(quick ? ['lora', 'flat-lora'] : [...methodNames, ...FLAT_VERSIONS]).filter(hasMethod).map(
      (method): Cell => ({
        kind: 'measured',
        method,
        ...settingsOf(method),
        rounds: quick ? 3 : 15,
      }),
    ),
    ...Object.keys(PLANS).map((plan): Cell => ({ kind: 'planned', plan, tokens: 1024 })),
  ],
  prepare: async () => undefined,
  run: async (cell, _, { quick }) => {
    if (cell.kind === 'measured') return measure(cell, quick);
    const { transform } = PLANS[cell.plan as string] as (typeof PLANS)[string];
    return { ...llamaStep(transform, cell.tokens as number) };
  },
  report: (results) => [
    {
      title: 'Measured',
      paragraphs: [
        'Ratios are medians over rounds of the time of a step over that of LoRA in the same round, with the 10th and 90th percentile. Steps in which an optimiser refreshes (GaLore) do not show in a median.',
      ],
      tables: [
        {
          caption: 'A step of each method beside one of LoRA',
          head: [
            '',
            'Step (ms)',
            'Time over LoRA’s',
            '10 % to 90 %',
            'Held between steps (MB)',
            'More than LoRA (MB)',
            'More at the peak (MB)',
          ],
          rows: measuredRows(results),
          numeric: true,
        },
        {
          caption: "The paper's own numbers: Llama-2-7B on an RTX 4090",
          head: ['', 'Memory', 'Training time'],
          rows: [
            ['LoRA', '23.49 GB', '7 h 22 min'],
            ['Flat-LoRA', '23.61 GB (+0.5 %)', '7 h 33 min (+2.5 %)'],
          ],
          numeric: true,
        },
      ],
      figures: [],
    },
    {
      title: 'Llama-2-7B on paper',
      paragraphs: [],
      tables: [
        {
          caption: 'Loss and gradient of one micro-batch, by the arithmetic of the plan',
          head: [
            '',
            'TFLOP',
            'Over LoRA’s',
            'Weights, adapters, gradients (GiB)',
            'Intermediates at the peak (GiB)',
            'More than LoRA (MiB)',
          ],
          rows: plannedRows(results),
          numeric: true,
        },
        {
          caption: `What training keeps besides the frozen weights, by formula, rank ${RANK}`,
          head: ['', 'Bytes a matrix [m, n]', 'All adapted matrices (GiB)'],
          rows: stateRows(),
          numeric: true,
        },
      ],
      figures: [],
    },
  ],
};
