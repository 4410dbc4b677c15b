/**
 * The committed pre-trained weights. Matrices are stored as bfloat16 and widened when they are read, so
 * what is fine-tuned are float32 numbers.
 */
import { fileURLToPath } from 'node:url';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type HostArray, key, orThrow } from '../../autodiff/index.js';
import { tensorsOfTree, treeOfTensors } from '../../checkpoints/index.js';
import { readSafetensors, writeSafetensors } from '../../checkpoints/node/index.js';
import { initEncoderDecoder, storeAs } from '../../models/index.js';
import { MODEL, type Weights } from './model.js';

export const WEIGHTS_FILE = fileURLToPath(
  new URL('../../../weights/text.safetensors', import.meta.url),
);

export const loadWeights = async (): Promise<Weights<HostArray>> =>
  orThrow(
    await pipe(
      readSafetensors(WEIGHTS_FILE),
      TE.flatMap(({ tensors }) =>
        TE.fromEither(treeOfTensors(initEncoderDecoder(MODEL, key(0)), tensors)),
      ),
    )(),
  );

export const saveWeights = async (
  weights: Weights<HostArray>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> =>
  orThrow(
    await pipe(
      TE.fromEither(tensorsOfTree(storeAs('bfloat16', { embeddings: true })(weights))),
      TE.flatMap((tensors) =>
        writeSafetensors(WEIGHTS_FILE, { tensors, metadata: new Map(Object.entries(metadata)) }),
      ),
    )(),
  );
