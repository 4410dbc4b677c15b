/** How flatlora's own cost grows: which sizes are measured, and what of them. */
import type { ModelSize, StepFacts, StepSpec } from '../harness/job.js';
import { decoderSpec } from './models.js';
import type { Effort } from './work.js';

/** One size: a training step, whose time, compilation or memory is measured. */
export interface GrowthPoint {
  readonly size: number;
  readonly spec: StepSpec;
}

export interface GrowthSeries {
  readonly work: string;
  readonly what: string;
  /** Of a step's time or of its facts; undefined where the backend does not tell. */
  readonly value: (stepMs: number, facts: StepFacts) => number | undefined;
  /** What the value is set against; the point's own size by default. */
  readonly size?: (facts: StepFacts) => number;
  readonly unit: string;
  readonly points: readonly GrowthPoint[];
}

const BASE: ModelSize = { width: 256, depth: 2, heads: 4, tokens: 128, batch: 4 };
const SMALL: ModelSize = { width: 32, depth: 1, heads: 2, tokens: 16, batch: 2 };

export function growthSeries({ quick }: Effort): readonly GrowthSeries[] {
  const base = quick ? SMALL : BASE;
  const sizes = (all: readonly number[]) => (quick ? all.slice(0, 2) : all);
  const along = (name: keyof ModelSize, factors: readonly number[]): readonly GrowthPoint[] =>
    sizes(factors).map((factor) => {
      const size = base[name] * factor;
      return { size, spec: decoderSpec({ ...base, [name]: size }) };
    });
  const step = (name: keyof ModelSize, factors: readonly number[]): GrowthSeries => ({
    work: `growth/${name}`,
    what: `LoRA step of the decoder against ${name}`,
    value: (stepMs) => stepMs,
    unit: 'ms',
    points: along(name, factors),
  });
  return [
    step('tokens', [0.5, 1, 2, 4]),
    step('width', [0.5, 1, 2, 4]),
    step('depth', [1, 2, 4, 8]),
    step('batch', [0.5, 1, 2, 4]),
    {
      work: 'growth/compile',
      what: 'Compilation of a step against equations of its tape (the last: 24 blocks)',
      value: (_, { compileMs }) => compileMs,
      size: ({ equations }) => equations,
      unit: 'ms',
      points: sizes([3, 6, 12, 24]).map((depth) => ({
        size: depth,
        spec: decoderSpec({ width: 64, depth, heads: 2, tokens: 32, batch: 1 }),
      })),
    },
    {
      work: 'growth/memory',
      what: 'Peak memory over what the plan cannot do without, against tokens',
      value: (_, { peakBytes, lowerBoundBytes }) =>
        lowerBoundBytes === null ? undefined : peakBytes / lowerBoundBytes,
      unit: '×',
      points: along('tokens', [0.5, 1, 2, 4]),
    },
  ];
}
