/**
 * Which tiling a product takes, by measuring. GPUs differ in how many workgroups they run at once and in
 * how many registers they have, and tell neither; so the most promising tilings are tried on the device,
 * once for each class of shapes, and the quickest is remembered.
 */
import { range, sizeOf, type Var } from '../../autodiff/index.js';
import { type Expression, type Kernel, number } from '../plan/expression.js';
import { type LoopVariable, ofAtom, type Position, plus, times } from '../plan/position.js';
import { dispatchOf, type Launch, submit, timeLaunches } from './launch.js';
import { acquireArray } from './memory.js';
import { productPlanOf } from './products.js';
import type { Machine } from './program.js';
import type { ChooseTiling } from './steps.js';
import { type ProductShape, TILES, type TileLimits, type Tiling, tilingsOf } from './tiles.js';
import { arrayBytes } from './wgsl/bindings.js';
import { printProduct, type TileForm } from './wgsl/product.js';

/** Where measurements are kept from one run of the program to the next. */
export interface TuningStore {
  readonly load: (key: string) => Promise<string | undefined>;
  readonly save: (key: string, value: string) => Promise<void>;
}

export interface TuningOptions {
  readonly store?: TuningStore | undefined;
  /** Products with fewer multiplications take the first tiling; 2²⁴ by default. */
  readonly worthwhile?: number | undefined;
}

export interface Tuner {
  /** Measures what is not known yet of some products. */
  readonly prepare: (shapes: readonly ProductShape[]) => Promise<void>;
  readonly choose: ChooseTiling;
}

/** Tilings that are tried. */
const CANDIDATES = 4;
/** Larger sizes behave like these. */
const LARGEST_SIZE = 4096;
const REPEATS = 3;
const LAUNCHES = 4;

const powerOf = (size: number): number => Math.min(LARGEST_SIZE, 2 ** Math.round(Math.log2(size)));

/** The shape that stands for a class: sizes as powers of two. */
const classOf = ({ batch, rows, columns, terms, ...same }: ProductShape): ProductShape => ({
  ...same,
  batch: Math.min(16, powerOf(batch)),
  rows: powerOf(rows),
  columns: powerOf(columns),
  terms: powerOf(terms),
});

const nameOf = ({ batch, rows, columns, terms, products, noise }: ProductShape): string =>
  [
    [batch, rows, columns, terms, products].join('x'),
    ...(noise.left ? ['left noise'] : []),
    ...(noise.right ? ['right noise'] : []),
  ].join(' ');

const workOf = ({ batch, rows, columns, terms, products }: ProductShape): number =>
  batch * rows * columns * terms * products;

/** A product of a shape: lhs [products, batch, rows, terms], rhs [products, batch, columns, terms]. */
export function sampleProduct(shape: ProductShape): Kernel {
  const { batch, rows, columns, terms, products, noise } = shape;
  const axis = (name: string, size: number): LoopVariable => ({ kind: 'loop', name, size });
  const [b, i, j] = [axis('b', batch), axis('i', rows), axis('j', columns)];
  const at = (k: LoopVariable, line: LoopVariable, product: number) =>
    plus(
      plus(times(ofAtom(b), line.size * terms), {
        constant: product * batch * line.size * terms,
        terms: [],
      }),
      plus(times(ofAtom(line), terms), ofAtom(k)),
    );
  const buffer = (id: number, lines: number): Var => ({
    id,
    shape: [products, batch, lines, terms],
    dtype: 'float',
  });
  const [lhs, rhs] = [buffer(1, rows), buffer(2, columns)];
  const apply = (name: string, operands: readonly Expression[]): Expression => ({
    kind: 'apply',
    name,
    operands,
    dtype: 'float',
    from: 'float',
  });
  const operand = (from: Var, place: Position, noisy: boolean): Expression => {
    const load: Expression = { kind: 'load', buffer: from, at: place };
    const normal: Expression = { kind: 'randomNormal', key: [number(1), number(2)], at: place };
    return noisy ? apply('add', [load, normal]) : load;
  };
  const sums = range(products).map((p): Expression => {
    const k = axis(`k${p}`, terms);
    return {
      kind: 'fold',
      fold: 'sum',
      loops: [k],
      body: apply('mul', [
        operand(lhs, at(k, i, p), noise.left),
        operand(rhs, at(k, j, p), noise.right),
      ]),
    };
  });
  return {
    output: { id: 0, shape: [batch, rows, columns], dtype: 'float' },
    axes: [b, i, j],
    body: sums.reduce((x, y) => apply('add', [x, y])),
    reads: [lhs, rhs],
  };
}

/** Milliseconds of one run of a tiling on the device. */
async function measure(
  { gpu, pool, pipelines, layout, table }: Machine,
  shape: ProductShape,
  tiling: Tiling,
  precision: TileForm,
): Promise<number> {
  const { device } = gpu;
  const kernel = sampleProduct(shape);
  const product = productPlanOf(kernel);
  if (product === undefined) return Number.POSITIVE_INFINITY;
  const { parts } = tiling;
  const output =
    parts === 1
      ? kernel.output
      : { ...kernel.output, shape: [shape.products * parts * sizeOf(kernel.output.shape)] };
  const code = printProduct(product, tiling, output, layout, precision);
  const pipeline = await pipelines.of(code);
  const arrays = [output, ...code.reads].map((v) => acquireArray(pool, arrayBytes(v), layout));
  try {
    if ((await pool.shortage()) !== undefined) return Number.POSITIVE_INFINITY;
    const bindGroup = device.createBindGroup({
      layout: pipelines.layout(code.written, code.read),
      entries: [...arrays.flat(), ...(code.usesNormalTable ? table : [])].map(
        ({ buffer }, binding) => ({ binding, resource: { buffer } }),
      ),
    });
    const launch: Launch = { pipeline, bindGroup, workgroups: dispatchOf(code.workgroups) };
    const once = async (): Promise<number> => {
      // Several at a time: clocks of browsers are coarse.
      const launches = range(LAUNCHES).map(() => launch);
      if (gpu.features.has('timestamp-query')) {
        return (await timeLaunches(device, launches)).reduce((sum, ms) => sum + ms, 0);
      }
      const start = performance.now();
      submit(device, launches);
      await device.queue.onSubmittedWorkDone();
      return performance.now() - start;
    };
    const times: number[] = [];
    // The first run does not count.
    for (let i = 0; i <= REPEATS; i++) times.push(await once());
    return Math.min(...times.slice(1));
  } finally {
    arrays.flat().forEach(pool.release);
  }
}

const isTiling = (x: Partial<Tiling> | null): x is Tiling =>
  typeof x?.parts === 'number' && TILES.some((t) => JSON.stringify(t) === JSON.stringify(x.tile));

/** What a store kept, where it is a tiling that is still possible. */
function restored(text: string | undefined, possible: readonly Tiling[]): Tiling | undefined {
  try {
    const found: Partial<Tiling> | null = JSON.parse(text ?? 'null');
    return isTiling(found)
      ? possible.find((t) => JSON.stringify(t) === JSON.stringify(found))
      : undefined;
  } catch {
    return undefined;
  }
}

export function createTuner(
  machine: Machine,
  limits: TileLimits,
  precision: TileForm,
  { store, worthwhile = 2 ** 24 }: TuningOptions,
): Tuner {
  const best = new Map<string, Tiling>();
  const keyOf = (shape: ProductShape) =>
    `${machine.gpu.description} ${precision} ${nameOf(classOf(shape))}`;
  const learn = async (shape: ProductShape): Promise<void> => {
    const key = keyOf(shape);
    if (best.has(key)) return;
    const sample = classOf(shape);
    const possible = tilingsOf(sample, limits);
    const known = restored(await store?.load(key), possible);
    if (known !== undefined) {
      best.set(key, known);
      return;
    }
    const timed: { readonly tiling: Tiling; readonly ms: number }[] = [];
    for (const tiling of possible.slice(0, CANDIDATES)) {
      // A tiling that the driver does not compile is none; what else is wrong will be told later.
      const ms = await measure(machine, sample, tiling, precision).catch(() => Number.NaN);
      if (ms > 0) timed.push({ tiling, ms });
    }
    const [quickest] = timed.sort((a, b) => a.ms - b.ms);
    if (quickest === undefined || !Number.isFinite(quickest.ms)) return;
    best.set(key, quickest.tiling);
    await store?.save(key, JSON.stringify(quickest.tiling));
  };
  return {
    prepare: async (shapes) => {
      // One after another: kernels that run at the same time would disturb each other's clocks.
      for (const shape of shapes) if (workOf(shape) >= worthwhile) await learn(shape);
    },
    choose: (shape, [first]) => best.get(keyOf(shape)) ?? first,
  };
}
