/**
 * Kernels that are products of matrices: pack panels of both operands, sum up tiles, and finish each
 * tile (the epilogue) while it is in the first-level cache. Of rhs, which may be a frozen weight with
 * noise drawn on the way, no more than a part is ever packed at a time.
 */
import type { Kernel } from '../../plan/expression.js';
import { emitFold } from '../folds.js';
import { beginFunction, type FunctionOptions, share } from '../functions.js';
import { get, i32 } from '../instructions.js';
import type { KernelCode } from '../program.js';
import { createValues } from '../values.js';
import { type Layout, layoutOf } from './layout.js';
import { TILE_COLUMNS } from './microKernel.js';
import { emitPack } from './pack.js';
import { bindParts, count, rhsPanel } from './panels.js';
import { emitTiles } from './tiles.js';
import { type Tiling, tilingOf } from './tiling.js';

export interface ProductOptions extends FunctionOptions {
  /** Index of the micro-kernel's function by the rows of its tiles. */
  readonly microKernels: ReadonlyMap<number, number>;
}

/** The code of a kernel that is a product of matrices, else `undefined`. */
export function emitProduct(kernel: Kernel, options: ProductOptions): KernelCode | undefined {
  const tiling = tilingOf(kernel, options.relaxed);
  if (tiling === undefined) return undefined;
  const layout = layoutOf(tiling);
  const sums = { name: 'product', function: emitTiles(kernel, tiling, layout, options) };
  const sizes = { scratchBytes: layout.privateBytes, sharedBytes: layout.sharedBytes };
  if (tiling.split !== 'rows') return { steps: [sums], ...sizes };
  const packing = {
    name: 'product: pack',
    function: emitPacking(kernel, tiling, layout, options),
  };
  const parts = Math.ceil(tiling.columnPanels / tiling.partPanels);
  const steps = Array.from({ length: parts }, (_, part) => [
    { ...packing, part },
    { ...sums, part },
  ]);
  return { steps: steps.flat(), ...sizes };
}

/** The step in which all threads pack a part of rhs for all. */
function emitPacking(kernel: Kernel, tiling: Tiling, layout: Layout, options: ProductOptions) {
  const { writer, nest, context, thread, threads, shared, part } = beginFunction(kernel, options);
  const value = createValues({
    ...context,
    given: () => undefined,
    fold: (e, emit) => emitFold(nest, e, emit),
  });
  const { batch, batchSize, columnPanels, partPanels, products } = tiling;
  const start = writer.define('i32', i32.mul(get(part), i32.const(partPanels)));
  const mine = share(writer, thread, threads, batchSize * partPanels, 1);
  count(writer, get(mine.from), get(mine.to), 1, (slot) => {
    bindParts(nest, batch, writer.define('i32', i32.divU(get(slot), i32.const(partPanels))));
    const inPart = writer.define('i32', i32.remU(get(slot), i32.const(partPanels)));
    const panel = writer.define('i32', i32.add(get(start), get(inPart)));
    const isThere = i32.ltS(get(panel), i32.const(columnPanels));
    writer.emitWhen(isThere, () => {
      const first = writer.define('i32', i32.mul(get(panel), i32.const(TILE_COLUMNS)));
      products.forEach((p, i) => {
        const offset = i32.add(
          i32.const(layout.rhs[i] as number),
          i32.mul(get(slot), i32.const(p.rhsPanelBytes)),
        );
        const target = writer.define('i32', i32.add(get(shared), offset));
        emitPack(nest, value, rhsPanel(tiling, p), first, target);
      });
    });
    batch.forEach(nest.unbind);
  });
  return writer.finish();
}
