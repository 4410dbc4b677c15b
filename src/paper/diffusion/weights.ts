/** Reading and writing what Figure 3 starts from: the committed weights of both models. */
import { fileURLToPath } from 'node:url';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { key, orThrow } from '../../autodiff/index.js';
import { tensorsOfTree, treeOfTensors } from '../../checkpoints/index.js';
import { readSafetensors, writeSafetensors } from '../../checkpoints/node/index.js';
import { initDiffusionTransformer, initVisionTransformer } from '../../models/index.js';
import { CLASSIFIER, DENOISER, type HostClassifier, type HostWeights } from './model.js';

const file = (name: string): string =>
  fileURLToPath(new URL(`../../../weights/${name}.safetensors`, import.meta.url));

export const DENOISER_FILE = file('dit-mnist');
export const JUDGE_FILE = file('vit-mnist-14');

const load = async <T>(path: string, template: T): Promise<T> =>
  orThrow(
    await pipe(
      readSafetensors(path),
      TE.flatMap(({ tensors }) => TE.fromEither(treeOfTensors(template, tensors))),
    )(),
  );

export const loadDenoiser = (): Promise<HostWeights> =>
  load(DENOISER_FILE, initDiffusionTransformer(DENOISER, key(0)));

export const loadJudge = (): Promise<HostClassifier> =>
  load(JUDGE_FILE, initVisionTransformer(CLASSIFIER, key(0)));

export const save = async (
  path: string,
  tree: unknown,
  metadata: Readonly<Record<string, string>>,
): Promise<void> =>
  orThrow(
    await pipe(
      TE.fromEither(tensorsOfTree(tree)),
      TE.flatMap((tensors) =>
        writeSafetensors(path, { tensors, metadata: new Map(Object.entries(metadata)) }),
      ),
    )(),
  );
