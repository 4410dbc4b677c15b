/** A summary with made-up but plausible numbers: nothing in it was measured. */
import { pairedComparisons } from '../../src/report/comparisons.js';
import type {
  Curve,
  Landscape,
  MethodSummary,
  SeedRun,
  Summary,
} from '../../src/report/summary.js';

/** A repeatable number between −1 and 1 for each (a, b). */
const wobble = (a: number, b: number): number => {
  const x = Math.sin(a * 127.1 + b * 311.7) * 43758.5453;
  return 2 * (x - Math.floor(x)) - 1;
};

interface Shape {
  readonly accuracy: number;
  readonly eigenvalue: number;
  readonly rise: number;
  readonly floor: number;
  readonly milliseconds: number;
  readonly parameters: number;
  readonly extraBytes: number;
  readonly salt: number;
}

function run(shape: Shape, seed: number): SeedRun {
  // The first term is shared by the methods of one seed, as a shared batch order would be.
  const luck = 0.012 * wobble(seed, 1) + 0.006 * wobble(seed, shape.salt);
  const accuracy = shape.accuracy + luck;
  const steps = 200;
  const trainLossCurve: Curve = Array.from({ length: steps }, (_, i) => {
    const noise = 1 + 0.18 * wobble(i + seed * 1000, shape.salt);
    return [i + 1, (shape.floor + 2.1 * Math.exp(-(i + 1) / 38)) * noise] as const;
  });
  const validationCurve: Curve = Array.from({ length: 11 }, (_, i) => [
    i * 20,
    accuracy - 0.25 * Math.exp(-i / 2.2) + 0.012 * wobble(i, seed + shape.salt),
  ]);
  return {
    seed,
    targetAccuracy: accuracy,
    corruption: [1, 2, 3, 4, 5].map(
      (severity) =>
        accuracy - 0.018 * severity ** 1.45 + 0.006 * wobble(severity, seed + shape.salt),
    ),
    topHessianEigenvalue: shape.eigenvalue * (1 + 0.16 * wobble(seed, shape.salt + 2)),
    meanLossRise: shape.rise * (1 + 0.2 * wobble(seed, shape.salt + 3)),
    trainLossCurve,
    validationCurve,
    finalTrainLoss: shape.floor * (1 + 0.1 * wobble(seed, shape.salt + 4)),
    testLoss: 1.31 - luck * 3 + 0.05 * wobble(seed, shape.salt + 5),
    secondsPerStep: (shape.milliseconds / 1000) * (1 + 0.02 * wobble(seed, shape.salt + 6)),
    trainedParameters: shape.parameters,
    extraBytes: shape.extraBytes,
  };
}

const method = (
  name: string,
  label: string,
  settings: MethodSummary['settings'],
  shape: Shape,
  seeds: readonly number[],
): MethodSummary => ({ name, label, settings, runs: seeds.map((seed) => run(shape, seed)) });

export function exampleMethods(seeds: readonly number[]): readonly MethodSummary[] {
  const common = { 'learning rate': 0.001, steps: 200, batch: 32, optimiser: 'AdamW' };
  const low = { ...common, rank: 8, alpha: 16, 'learning rate': 0.005 };
  return [
    method(
      'full',
      'Full fine-tuning',
      common,
      {
        accuracy: 0.671,
        eigenvalue: 84,
        rise: 0.21,
        floor: 0.06,
        milliseconds: 61,
        parameters: 139_658,
        extraBytes: 1_564_416,
        salt: 11,
      },
      seeds,
    ),
    method(
      'lora',
      'LoRA',
      low,
      {
        accuracy: 0.646,
        eigenvalue: 61,
        rise: 0.162,
        floor: 0.12,
        milliseconds: 48.2,
        parameters: 24_586,
        extraBytes: 0,
        salt: 23,
      },
      seeds,
    ),
    method(
      'flat-lora',
      'Flat-LoRA',
      { ...low, sigma: 0.25, 'sigma schedule': 'cosine-increasing' },
      {
        accuracy: 0.651,
        eigenvalue: 38,
        rise: 0.083,
        floor: 0.15,
        milliseconds: 50.9,
        parameters: 24_586,
        extraBytes: 9_224,
        salt: 37,
      },
      seeds,
    ),
  ];
}

export function exampleLandscape(): Landscape {
  const axis = Array.from({ length: 25 }, (_, i) => (i - 12) / 12);
  const bowl = (steepness: number, floor: number, lean: number) =>
    axis.map((y) =>
      axis.map((x) => {
        const radius = steepness * ((x - lean) ** 2 + 0.7 * y ** 2 + 0.3 * x * y);
        return (
          floor + 3.4 * (1 - Math.exp(-radius)) + 0.12 * Math.sin(5 * x) * Math.sin(4 * y) * radius
        );
      }),
    );
  return {
    description:
      'Training loss of seed 1 over two random filter-normalised directions in the full parameter ' +
      'space (Li et al., 2018), the same directions for both models.',
    x: axis,
    y: axis,
    surfaces: [
      { method: 'lora', label: 'LoRA', loss: bowl(1.9, 0.12, 0.05) },
      { method: 'flat-lora', label: 'Flat-LoRA', loss: bowl(0.8, 0.15, -0.04) },
    ],
  };
}

export function exampleSummary(
  seeds: readonly number[] = [1, 2, 3, 4, 5],
  methods: readonly MethodSummary[] = exampleMethods(seeds),
): Summary {
  return {
    format: 'flatlora-summary-1',
    title: 'Flat-LoRA beside LoRA and full fine-tuning',
    version: '0.1.0',
    date: '2026-11-24T18:20:00Z',
    command: `npm start -- --out out --seeds ${seeds.length}`,
    data: [
      {
        role: 'pre-training',
        name: 'optdigits',
        origin: 'real',
        split: 'train, 3,823 images',
        source: 'optdigits.tra (official content)',
      },
      {
        role: 'adaptation',
        name: 'semeion',
        origin: 'real',
        split: '100 images, 10 per class',
        source: 'semeion.data (official content)',
      },
      {
        role: 'validation',
        name: 'semeion',
        origin: 'real',
        split: '200 images',
        source: 'semeion.data (official content)',
      },
      {
        role: 'test',
        name: 'semeion',
        origin: 'real',
        split: '1,293 images',
        source: 'semeion.data (official content)',
      },
    ],
    machine: {
      backend: 'gpujs webasm',
      backendReason: 'fastest that passed its self-test',
      node: 'v20.20.2',
      platform: 'linux x64',
      cores: 2,
    },
    settings: { model: 'ViT, d 64, 4 layers, 4 heads', tuning: 'on the validation split' },
    methods,
    comparisons: pairedComparisons(methods),
    landscape: exampleLandscape(),
    notes: ['Invented numbers: this summary is a test fixture.'],
  };
}
