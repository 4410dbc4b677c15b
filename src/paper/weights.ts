/** The committed pre-trained weights of the experiments. */
import { fileURLToPath } from 'node:url';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { orThrow } from '../autodiff/index.js';
import { treeOfTensors } from '../checkpoints/index.js';
import { readSafetensors } from '../checkpoints/node/index.js';
import { saveTree } from '../main/weights.js';
import { storeAs } from '../models/index.js';

/** A file of the repository's folder of weights. */
export const weightsFile = (name: string): string =>
  fileURLToPath(new URL(`../../weights/${name}`, import.meta.url));

/** Reads a tree like the template. */
export const loadTree = async <W>(file: string, template: W): Promise<W> =>
  orThrow(
    await pipe(
      readSafetensors(file),
      TE.flatMap(({ tensors }) => TE.fromEither(treeOfTensors(template, tensors))),
    )(),
  );

/** Writes a tree, its matrices in bfloat16; read again they are float32 numbers. */
export const saveHalf = <W>(
  file: string,
  tree: W,
  metadata: Readonly<Record<string, string>>,
): Promise<void> => saveTree(file, storeAs('bfloat16', { embeddings: true })(tree), metadata);
