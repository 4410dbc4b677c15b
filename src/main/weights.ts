/** Reading and writing the model's weights as safetensors. */
import { fileURLToPath } from 'node:url';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { key, orThrow } from '../autodiff/index.js';
import { tensorsOfTree, treeOfTensors } from '../checkpoints/index.js';
import { readSafetensors, writeSafetensors } from '../checkpoints/node/index.js';
import { initVisionTransformer } from '../models/index.js';
import type { Origin } from './data.js';
import { type HostWeights, MODEL } from './model.js';

/** Where the committed pre-trained weights lie. */
export const weightsFile = (origin: Origin): string =>
  fileURLToPath(
    new URL(
      `../../weights/vit-${origin === 'real' ? 'optdigits' : 'drawn'}.safetensors`,
      import.meta.url,
    ),
  );

export const loadWeights = async (file: string): Promise<HostWeights> =>
  orThrow(
    await pipe(
      readSafetensors(file),
      TE.flatMap(({ tensors }) =>
        TE.fromEither(treeOfTensors(initVisionTransformer(MODEL, key(0)), tensors)),
      ),
    )(),
  );

export const saveTree = async (
  file: string,
  tree: unknown,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> =>
  orThrow(
    await pipe(
      TE.fromEither(tensorsOfTree(tree)),
      TE.flatMap((tensors) =>
        writeSafetensors(file, { tensors, metadata: new Map(Object.entries(metadata)) }),
      ),
    )(),
  );
