/** Evaluation over a whole set of examples, in batches of one size. */
import {
  FlatloraError,
  type HostArray,
  hostArray,
  range,
  reduceSum,
  select,
  showShape,
  type Value,
} from '../autodiff/index.js';
import { type Backend, compile, download, release } from '../kernels/index.js';
import { countRows, takeRows } from './batches.js';

/** Traceable: parameters and a batch to numbers by name, each float[batch size]: one per example. */
export type PerExample<P, X> = (params: P, batch: X) => Readonly<Record<string, Value>>;

export interface Evaluator {
  /**
   * The mean of every number over all examples.
   * @param params host or device arrays; neither released nor changed.
   * @param examples the tree of a batch, of host arrays whose first axis counts all examples.
   */
  readonly evaluate: (
    params: unknown,
    examples: unknown,
  ) => Promise<Readonly<Record<string, number>>>;
  readonly dispose: () => Promise<void>;
}

/**
 * Compiles an evaluation once. The last batch is filled up with copies of its last example, whose
 * numbers a mask leaves out, so one program serves all batches. Sums over batches are taken in double
 * precision on the host.
 *
 *     const { evaluate } = evaluator(
 *       (params, { images, labels }) => ({ correct: …, loss: … }), backend, { batchSize: 256 });
 */
export function evaluator<P, X>(
  perExample: PerExample<P, X>,
  backend: Backend,
  { batchSize }: { readonly batchSize: number },
): Evaluator {
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new FlatloraError(
      'argument',
      `evaluator: batchSize is ${batchSize}, expected a positive integer`,
    );
  }
  const sums = (params: P, batch: X, mask: Value): Readonly<Record<string, Value>> =>
    Object.fromEntries(
      Object.entries(perExample(params, batch)).map(([name, numbers]) => {
        if (numbers.shape.length !== 1 || numbers.shape[0] !== batchSize) {
          throw new FlatloraError(
            'shape',
            `evaluator: "${name}" has shape ${showShape(numbers.shape)}, expected [${batchSize}], one number per example`,
          );
        }
        // A choice, not a product: what the copies give must not count even where it is NaN.
        return [name, reduceSum(select(mask, numbers, 0))];
      }),
    );
  const program = compile(sums, backend);
  return {
    evaluate: async (params, examples) => {
      const count = countRows(examples);
      if (count === 0) throw new FlatloraError('argument', 'evaluate: there are no examples');
      const totals = new Map<string, number>();
      for (let start = 0; start < count; start += batchSize) {
        const rows = range(batchSize).map((i) => Math.min(start + i, count - 1));
        const mask = hostArray(
          Uint8Array.from(rows, (_, i) => Number(start + i < count)),
          [batchSize],
        );
        const results = await program(params, takeRows(examples, rows), mask);
        const onHost = (await download(backend, results)) as unknown as Record<string, HostArray>;
        release(backend, results);
        for (const [name, sum] of Object.entries(onHost)) {
          totals.set(name, (totals.get(name) ?? 0) + (sum.get() as number));
        }
      }
      return Object.fromEntries([...totals].map(([name, sum]) => [name, sum / count]));
    },
    dispose: program.dispose,
  };
}
