/** Embeddings: a learned row per token id. */
import {
  FlatloraError,
  gather,
  type HostArray,
  type Key,
  showAval,
  type Value,
  widened,
} from '../../autodiff/index.js';
import { truncatedNormal } from '../initialisers.js';

export interface EmbeddingWeights<V = Value> {
  /** [vocabulary, width] */
  readonly weight: V;
}

/**
 * Rows of the table by id: int [b…] → [b…, width]. An id outside the table reads a row of zeros.
 * @throws FlatloraError when the ids are not int.
 */
export function embedding({ weight }: EmbeddingWeights, ids: Value): Value {
  if (ids.dtype !== 'int') {
    throw new FlatloraError(
      'dtype',
      `embedding: token ids are ${showAval(ids)}, expected int (an Int32Array on the host)`,
    );
  }
  return widened(gather(weight, ids));
}

/** Truncated normal, standard deviation 0.02. */
export const initEmbedding = (
  key: Key,
  vocabulary: number,
  width: number,
): EmbeddingWeights<HostArray> => ({ weight: truncatedNormal(key, [vocabulary, width]) });
