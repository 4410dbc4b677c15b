/** The committed weights of both models that Figure 3 starts from. */
import { key } from '../../autodiff/index.js';
import { initDiffusionTransformer, initVisionTransformer } from '../../models/index.js';
import { loadTree, weightsFile } from '../weights.js';
import { CLASSIFIER, DENOISER, type HostClassifier, type HostWeights } from './model.js';

export const DENOISER_FILE = weightsFile('dit-mnist.safetensors');
export const JUDGE_FILE = weightsFile('vit-mnist-14.safetensors');

export const loadDenoiser = (): Promise<HostWeights> =>
  loadTree(DENOISER_FILE, initDiffusionTransformer(DENOISER, key(0)));

export const loadJudge = (): Promise<HostClassifier> =>
  loadTree(JUDGE_FILE, initVisionTransformer(CLASSIFIER, key(0)));
