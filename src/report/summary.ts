/**
 * What a run of the main job says, as data. It is written as `summary.json`, and every form of the
 * report is a pure function of it. Everything here is JSON: a `Summary` that was written and read
 * again gives the same report.
 */
import type { PairedDifference } from './statistics.js';

/**
 * A measured number. `null`, NaN and infinities all mean that there is none (not measured, or the
 * run diverged), because JSON writes NaN as `null`; reports show `n/a` and say how many are left.
 */
export type Measured = number | null;

/** `[step, value]` pairs, by increasing step. */
export type Curve = readonly (readonly [step: number, value: Measured])[];

/** One data set in one role, as the report cites it. */
export interface DataFact {
  /** What it was used for, such as `pre-training`, `adaptation`, `test`. */
  readonly role: string;
  /** Its name, such as `semeion`. */
  readonly name: string;
  /** Real images, or digits that this library draws itself. */
  readonly origin: 'real' | 'drawn';
  /** Which part of it: `100 labelled images, 10 per class, split by key 7`. */
  readonly split: string;
  /** Where it came from, such as the result of `describeProvenance`. */
  readonly source: string;
}

export interface MachineFacts {
  /** The backend that ran the training, with its mode: `gpujs webasm`. */
  readonly backend: string;
  /** Why this backend, in a few words. */
  readonly backendReason: string;
  /** Such as `v20.20.2`. */
  readonly node: string;
  /** Such as `linux x64`. */
  readonly platform: string;
  readonly cores: number;
}

/** What one seed of one method gave. Accuracies are fractions from 0 to 1. */
export interface SeedRun {
  readonly seed: number;
  /** Accuracy on the target's test set. */
  readonly targetAccuracy: Measured;
  /** Accuracy on the corrupted test set; entry i is severity i + 1. */
  readonly corruption: readonly Measured[];
  /** Largest eigenvalue of the training loss's Hessian in the full parameter space. */
  readonly topHessianEigenvalue: Measured;
  /** Mean rise of the training loss when Eq. 7 noise is added to the merged weights. */
  readonly meanLossRise: Measured;
  /** Training loss by optimiser step. */
  readonly trainLossCurve: Curve;
  /** Accuracy on the validation split by optimiser step; empty when not followed. */
  readonly validationCurve: Curve;
  readonly finalTrainLoss: Measured;
  readonly testLoss: Measured;
  readonly secondsPerStep: Measured;
  /** Numbers that the optimiser updates. */
  readonly trainedParameters: Measured;
  /** Bytes of live device buffers beyond plain LoRA's. */
  readonly extraBytes: Measured;
}

/** One method's settings (rank, alpha, sigma, learning rate, steps, …) by name. */
export type Settings = Readonly<Record<string, string | number | boolean | null>>;

export interface MethodSummary {
  /** The identifier that comparisons and file names use, such as `flat-lora`. */
  readonly name: string;
  /** What a reader sees, such as `Flat-LoRA`. */
  readonly label: string;
  readonly settings: Settings;
  readonly runs: readonly SeedRun[];
}

/** One metric of one method minus the same metric of the baseline, paired by seed. */
export interface PairedComparison {
  /** The identifier of a metric, from `METRICS`. */
  readonly metric: string;
  /** The `name` of a method. */
  readonly method: string;
  /** The `name` of the method that it is compared with. */
  readonly baseline: string;
  readonly difference: PairedDifference;
  /** Mean of the method over mean of the baseline, over the same pairs; null where meaningless. */
  readonly ratio: Measured;
}

/** The loss of one trained model over the plane of two directions. */
export interface LandscapeSurface {
  /** The `name` of the method. */
  readonly method: string;
  readonly label: string;
  /** `loss[row][column]` is the loss at `y[row]`, `x[column]`. */
  readonly loss: readonly (readonly Measured[])[];
}

/** Surfaces over one grid: the same coordinates and directions, so that they can be compared. */
export interface Landscape {
  /** What was drawn: which loss, which seed, which directions. */
  readonly description: string;
  /** Coordinates along the first direction, increasing by equal steps; 0 is the trained model. */
  readonly x: readonly number[];
  /** Coordinates along the second direction, increasing by equal steps. */
  readonly y: readonly number[];
  readonly surfaces: readonly LandscapeSurface[];
}

export interface Summary {
  /** The version of this format. */
  readonly format: 'flatlora-summary-1';
  readonly title: string;
  /** The library's version. */
  readonly version: string;
  /** When the run ended, ISO 8601. */
  readonly date: string;
  /** The command line that repeats it. */
  readonly command: string;
  readonly data: readonly DataFact[];
  readonly machine: MachineFacts;
  /** What holds for all methods: model, batch size, how σ, rank and learning rate were chosen. */
  readonly settings: Settings;
  /** In the order in which they are shown. A method that did not run is left out. */
  readonly methods: readonly MethodSummary[];
  /** The result of `pairedComparisons`. */
  readonly comparisons: readonly PairedComparison[];
  /** null when it was not computed. */
  readonly landscape: Landscape | null;
  /** Remarks of the job itself; what the numbers say is added by the report. */
  readonly notes: readonly string[];
}

/** Whether a measurement is a number: neither null nor NaN nor infinite. */
export const isMeasured = (value: Measured | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);
