/** From the results of all runs to the summary that reports are made of. */
import { availableParallelism } from 'node:os';
import { parameterCount } from '../models/index.js';
import { type MethodSummary, pairedComparisons, type Summary } from '../report/index.js';
import type { TargetData } from './data.js';
import type { Effort, JobResult } from './job.js';
import { MEASURED_SIGMA } from './measure.js';
import type { Method } from './methods.js';
import { type HostWeights, MODEL, TARGET_MODULES } from './model.js';
import type { StepTiming } from './timing.js';

export interface Findings {
  readonly methods: readonly Method[];
  /** `results[m][s]`: method m, seed number s. */
  readonly results: readonly (readonly JobResult[])[];
  readonly timing: readonly StepTiming[];
  readonly data: TargetData;
  readonly base: HostWeights;
  readonly effort: Effort;
  readonly backend: { readonly name: string; readonly reason: string };
  readonly version: string;
  readonly command: string;
  readonly date: string;
}

export function summarise(findings: Findings): Summary {
  const { methods, results, timing, data, effort, backend, base } = findings;
  const baseline = results[methods.findIndex((m) => m.name === 'lora')] ?? [];
  const summaries = methods.map((method, m): MethodSummary => {
    const runs = (results[m] ?? []).flatMap(({ run }, s) => {
      if (run === undefined) return [];
      const { liveBytes, ...rest } = run;
      const plain = baseline[s]?.run?.liveBytes;
      return [{ ...rest, extraBytes: plain === undefined ? null : liveBytes - plain }];
    });
    const { learningRate, rank, alpha, sigma } = method.settings;
    return {
      name: method.name,
      label: method.label,
      settings:
        method.name === 'full'
          ? { learningRate }
          : {
              learningRate,
              rank,
              alpha,
              ...(sigma > 0 && { sigma, schedule: 'cosine-increasing' }),
            },
      runs,
    };
  });
  const surfaces = methods.flatMap((method, m) => {
    const surface = results[m]?.[0]?.surface;
    return surface === undefined ? [] : [{ method, surface }];
  });
  const [first] = surfaces;
  const milliseconds = (s: number) => `${(1000 * s).toFixed(1)} ms`;
  const cost = timing
    .map(
      (t) =>
        `${t.method} ${milliseconds(t.seconds)} (${t.ratio[0].toFixed(3)}× LoRA, ${t.ratio[1].toFixed(3)}–${t.ratio[2].toFixed(3)})`,
    )
    .join(', ');
  return {
    format: 'flatlora-summary-1',
    title: 'Flat-LoRA next to LoRA and full fine-tuning',
    version: findings.version,
    date: findings.date,
    command: findings.command,
    data: data.facts,
    machine: {
      backend: backend.name,
      backendReason: backend.reason,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cores: availableParallelism(),
    },
    settings: {
      model: `ViT, width ${MODEL.width}, depth ${MODEL.depth}, heads ${MODEL.heads}, patch ${MODEL.patchSize}, mean pooling`,
      parameters: parameterCount(base),
      targetModules: TARGET_MODULES.join(', '),
      optimiser: 'AdamW, no weight decay, gradients clipped to norm 1, 3 % warm-up, cosine',
      steps: effort.steps,
      batchSize: effort.batchSize,
      'chosen on':
        'the validation split of semeion, the same grid of learning rates for every method',
      'mean loss rise at': `sigma ${MEASURED_SIGMA}, ${effort.samples} draws`,
    },
    methods: summaries,
    comparisons: pairedComparisons(summaries),
    landscape: first
      ? {
          description:
            'Training loss around the merged weights of the first seed, along two random filter-normalised directions (the same ones for both models).',
          x: first.surface.coordinates,
          y: first.surface.coordinates,
          surfaces: surfaces.map(({ method, surface }) => ({
            method: method.name,
            label: method.label,
            // The report wants rows by y; the surface is indexed by the first direction first.
            loss: surface.coordinates.map((_, j) => surface.losses.map((row) => row[j] ?? null)),
          })),
        }
      : null,
    notes:
      timing.length > 0
        ? [
            `Time of a step, methods in turn in one process, median (10th to 90th percentile of the ratio): ${cost}.`,
          ]
        : [],
  };
}
