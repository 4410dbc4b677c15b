/**
 * What an experiment is: a grid of independent runs, and a way to read their results.
 *
 * A run is a `Cell`, plain data that names all that decides its result, so it can go to another
 * process or machine and be found again afterwards. What cells have in common (data, pre-trained
 * weights) is prepared once in each process.
 */
import type { Backend } from '../kernels/index.js';
import type { Table } from '../report/index.js';

/** One run: `{ task: 'sst2', method: 'flat-lora', rank: 8, seed: 3 }`. */
export type Cell = Readonly<Record<string, string | number>>;

/** What a run measured: numbers, curves of `[x, y]`, or text (a story, an image as a data URL). */
export type Measures = Readonly<
  Record<string, number | string | readonly (readonly [number, number])[]>
>;

export interface CellResult {
  readonly cell: Cell;
  readonly measures: Measures;
}

/** How much is done, and where. */
export interface Surroundings {
  readonly quick: boolean;
  /** The directory with the data folders; none: experiments use what they can generate. */
  readonly dataDir: string | undefined;
  /** Seeds 0 to n − 1 of everything that is compared: 5, in the quick form 2. */
  readonly seeds: number;
}

/** What a run gets besides its cell. */
export interface RunContext extends Surroundings {
  readonly backend: Backend;
  /** A folder of this cell alone, for checkpoints; gone when the cell is done. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** How far the run is, from 0 to 1. */
  readonly progress: (done: number) => void;
}

/** A picture with what it shows. */
export interface Figure {
  readonly caption: string;
  /** An `svg` element. */
  readonly svg: string;
}

/** A part of a report. */
export interface Section {
  readonly title: string;
  readonly paragraphs: readonly string[];
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
}

/** How an experiment's settings are looked for: as many trials for every method. */
export interface Search {
  /** Every trial: a cell that `run` takes, with seeds and data that the experiment does not use. */
  readonly cells: (surroundings: Surroundings) => readonly Cell[];
  /** The method of a trial, and the settings that were tried. */
  readonly trial: (cell: Cell) => {
    readonly method: string;
    readonly settings: Readonly<Record<string, number>>;
  };
  /** The measure to be large, on validation data. */
  readonly score: string;
}

export interface Experiment<Premises> {
  /** What the command line calls it: `table-1`. */
  readonly name: string;
  /** Its counterpart in the paper: `Table 1: T5-base on GLUE`. */
  readonly counterpart: string;
  /** What was made smaller or otherwise than in the paper, and why. */
  readonly departures: readonly string[];
  /** Folders of the data directory that the full form needs, such as `glue/SST-2`. */
  readonly data: readonly string[];
  /** Which cells measure time: they run one after the other when all else is done. None by default. */
  readonly alone?: (cell: Cell) => boolean;
  readonly cells: (surroundings: Surroundings) => readonly Cell[];
  /** Once in each process that runs cells. */
  readonly prepare: (surroundings: Surroundings) => Promise<Premises>;
  /**
   * Goes on where an interrupted call with the same folder stopped; `undefined` when interrupted.
   * Experiments with one and the same function share the results of equal cells.
   */
  readonly run: (
    cell: Cell,
    premises: Premises,
    context: RunContext,
  ) => Promise<Measures | undefined>;
  readonly report: (
    results: readonly CellResult[],
    surroundings: Surroundings,
  ) => readonly Section[];
  readonly search?: Search;
}
