/** The committed pre-trained weights of the text experiments. */
import { type HostArray, key } from '../../autodiff/index.js';
import { initEncoderDecoder } from '../../models/index.js';
import { loadTree, saveHalf, weightsFile } from '../weights.js';
import { MODEL, type Weights } from './model.js';

export const WEIGHTS_FILE = weightsFile('text.safetensors');

export const loadWeights = (): Promise<Weights<HostArray>> =>
  loadTree(WEIGHTS_FILE, initEncoderDecoder(MODEL, key(0)));

export const saveWeights = (
  weights: Weights<HostArray>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> => saveHalf(WEIGHTS_FILE, weights, metadata);
