/** From the kernels of a plan to the kernels that are launched. */
import { showAval, sizeOf, type Var } from '../../autodiff/index.js';
import type { AttentionKernel } from '../plan/attention.js';
import { kernelCost } from '../plan/cost.js';
import { buffersOf, type Expression, type Kernel, nodesOf } from '../plan/expression.js';
import { joint } from '../plan/lower.js';
import { type AnyKernel, outputsOf, type Plan } from '../plan/plan.js';
import { fixed, type LoopVariable, ofAtom, plus, times } from '../plan/position.js';
import { type Fold, productKernelOf } from '../plan/product.js';
import { type ProductPlan, productPlanOf, replaceNodes, sizeOfLoops } from './products.js';
import type { Step } from './program.js';
import {
  isWorthTiles,
  type ProductShape,
  type TileLimits,
  type Tiling,
  tilingsOf,
} from './tiles.js';
import { printAttention } from './wgsl/attention.js';
import { printAttentionBackward } from './wgsl/attentionBackward.js';
import type { ArrayLayout } from './wgsl/bindings.js';
import { type KernelCode, printKernel } from './wgsl/kernel.js';
import { printProduct, type TileForm } from './wgsl/product.js';
import { type MatrixUnit, matrixTile } from './wgsl/productMatrix.js';

/** The tiling for a product, from those that are possible; `undefined` for none. */
export type ChooseTiling = (shape: ProductShape, tilings: readonly Tiling[]) => Tiling | undefined;

/** What decides how kernels are written. */
export interface StepOptions {
  readonly layout: ArrayLayout;
  readonly limits: TileLimits;
  /** Most bindings of a kernel. */
  readonly bindings: number;
  /** How tiles of products are held. */
  readonly precision: 'f32' | 'f16';
  /** Matrix units for products in float16, where the device has some. */
  readonly matrixUnit: MatrixUnit | undefined;
  readonly choose: ChooseTiling;
}

const drawsNoise = (operand: Expression): boolean =>
  nodesOf(operand).some((e) => e.kind === 'randomWord' || e.kind === 'randomNormal');

export const shapeOf = ({ batch, rows, columns, sums }: ProductPlan): ProductShape => ({
  batch: sizeOfLoops(batch),
  rows: sizeOfLoops(rows),
  columns: sizeOfLoops(columns),
  terms: Math.max(...sums.map((s) => sizeOfLoops(s.contracted))),
  products: sums.length,
  noise: {
    left: sums.some((s) => drawsNoise(s.lhs)),
    right: sums.some((s) => drawsNoise(s.rhs)),
  },
});

/** The shapes of the products of a plan that are worth tiles. */
export const productShapes = (plan: Plan<AnyKernel>): readonly ProductShape[] =>
  plan.kernels
    .flatMap((kernel) => ('kind' in kernel ? [] : (productPlanOf(kernel) ?? [])))
    .map(shapeOf)
    .filter(isWorthTiles);

/** The launches of a product that is summed up in parts: the parts, and what adds them up. */
function inParts(kernel: Kernel, parts: Var, { parts: count }: Tiling): Kernel {
  const outputs = sizeOf(kernel.output.shape);
  const part: LoopVariable = { kind: 'loop', name: 'part', size: count };
  const folds = productKernelOf(kernel)?.products.map((p) => p.fold) ?? [];
  const joined = folds.map((fold, s): readonly [Expression, Fold] => [
    fold,
    {
      kind: 'fold',
      fold: 'sum',
      loops: [part],
      body: {
        kind: 'load',
        buffer: parts,
        at: plus(
          plus(fixed(s * count * outputs), times(ofAtom(part), outputs)),
          joint(kernel.axes),
        ),
      },
    },
  ]);
  const body = replaceNodes(kernel.body, new Map(joined));
  return { ...kernel, body, reads: buffersOf(body) };
}

/** Matrix units want one sum, and tiles that are not mostly empty. */
const formOf = (
  { rows, columns, terms, products }: ProductShape,
  { precision, matrixUnit }: StepOptions,
): TileForm =>
  precision === 'f16' && products === 1 && Math.min(rows, columns, terms) >= 32
    ? (matrixUnit ?? 'f16')
    : precision;

/** The launches of one kernel; `scratch` makes a buffer of its own. */
function launchesOf(
  kernel: Kernel,
  options: StepOptions,
  scratch: (size: number) => Var,
): readonly Step[] {
  const { layout, limits, choose } = options;
  const product = productPlanOf(kernel);
  const shape = product && shapeOf(product);
  const form = shape && formOf(shape, options);
  const tiling =
    shape && isWorthTiles(shape)
      ? typeof form === 'object'
        ? tilingsOf(shape, limits, [matrixTile(form)])[0]
        : choose(shape, tilingsOf(shape, limits))
      : undefined;
  const cost = kernelCost(kernel);
  const reads = kernel.reads.map((v) => `b${v.id}`).join(' ');
  const name = `b${kernel.output.id}: ${showAval(kernel.output)} <- ${reads}`;
  if (product === undefined || tiling === undefined) {
    return [{ name, code: printKernel(kernel, layout), cost, dies: [] }];
  }
  const { tile, parts: count } = tiling;
  const tiled = `${name} (product, tile ${tile.rows} × ${tile.columns})`;
  if (count === 1) {
    const code = printProduct(product, tiling, kernel.output, layout, form);
    return [{ name: tiled, code, cost, dies: [] }];
  }
  const parts = scratch(product.sums.length * count * sizeOf(kernel.output.shape));
  const joining = inParts(kernel, parts, tiling);
  return [
    {
      name: `${tiled}, ${count} parts`,
      code: printProduct(product, tiling, parts, layout, form),
      cost,
      dies: [],
    },
    {
      name: `${name}, parts joined`,
      code: printKernel(joining, layout),
      cost: kernelCost(joining),
      dies: [parts],
    },
  ];
}

/** The launches of attention; `undefined` where its lines or its operands are too many for the device. */
function attentionLaunches(
  kernel: AttentionKernel,
  { layout, limits, bindings }: StepOptions,
): readonly Step[] | undefined {
  if (outputsOf(kernel).every((v) => sizeOf(v.shape) === 0)) return [];
  const codes =
    kernel.kind === 'attention'
      ? [printAttention(kernel, layout, limits)]
      : printAttentionBackward(kernel, layout, limits);
  // Either half of the backward pass computes the scores again.
  const { flops, bytes } = kernelCost(kernel);
  const outputs = (code: KernelCode) =>
    code.outputs.map((v) => `b${v.id}: ${showAval(v)}`).join(', ');
  return codes?.every((c) => c !== undefined && c.written + c.read <= bindings)
    ? codes.map((code) => ({
        name: `${outputs(code as KernelCode)} <- ${kernel.kind}`,
        code: code as KernelCode,
        cost: { flops: flops / codes.length, bytes: bytes / codes.length },
        dies: [],
      }))
    : undefined;
}

/** The launches of a plan, or `undefined` where some attention has to run as it is defined. */
export function stepsOf(plan: Plan<AnyKernel>, options: StepOptions): readonly Step[] | undefined {
  // Buffers between the launches of one kernel are numbered downwards from −1.
  let count = 0;
  const scratch = (size: number): Var => ({ id: --count, shape: [size], dtype: 'float' });
  const steps = plan.kernels.map((kernel, i) => {
    const launches =
      'kind' in kernel ? attentionLaunches(kernel, options) : launchesOf(kernel, options, scratch);
    const last = (launches?.length ?? 0) - 1;
    return launches?.map((step, l) =>
      l === last ? { ...step, dies: [...step.dies, ...(plan.dies[i] ?? [])] } : step,
    );
  });
  return steps.some((s) => s === undefined) ? undefined : steps.flatMap((s) => s ?? []);
}
