/** Numbers about layers that data-driven starts look at, by the path of the layer's weight. */
import * as E from 'fp-ts/lib/Either.js';
import { fail, type HostArray, type Result, sameShape, showShape } from '../../autodiff/index.js';
import { numbersOf } from '../hostMatrix.js';

/** One array a layer, by the path of its weight, such as `blocks.0.attention.query.weight`. */
export type LayerStatistics = Readonly<Record<string, HostArray>>;

/**
 * Whether a method has what it needs of a layer.
 * @param argument the method's option, and `source` the function that measures it, for the message.
 * @returns a problem when it is missing, has another shape, is not finite, or is zero throughout.
 */
export function checkStatistic(
  method: string,
  argument: string,
  source: string,
  statistics: LayerStatistics | undefined,
  path: string,
  shape: readonly number[],
): Result<void> {
  const found = statistics?.[path];
  if (found === undefined) {
    return fail(
      'argument',
      `${method}: ${argument} has no "${path}", expected what ${source} gives for the same targetModules`,
    );
  }
  if (!sameShape(found.shape, shape)) {
    return fail(
      'shape',
      `${method}: ${argument} of "${path}" is ${showShape(found.shape)}, expected ${showShape(shape)}`,
    );
  }
  const numbers = numbersOf(found);
  if (!numbers.every(Number.isFinite)) {
    return fail('not-finite', `${method}: ${argument} of "${path}" has NaN or infinity in it`);
  }
  return numbers.every((x) => x === 0)
    ? fail(
        'argument',
        `${method}: ${argument} of "${path}" is zero throughout, expected data that reaches the layer`,
      )
    : E.right(undefined);
}
