/** The decoder that this library pre-trained: Llama's shape in small, with a vocabulary of its own. */
import { readFile } from 'node:fs/promises';
import { key, orThrow } from '../../autodiff/index.js';
import { initCausalDecoder } from '../../models/index.js';
import { END, type Tokenizer, tokenizerFromJson } from '../../tokenizers/index.js';
import { loadTree, weightsFile } from '../weights.js';
import type { Codec, Decoder } from './model.js';
import { OWN } from './ownConfig.js';

export const WEIGHTS_FILE = weightsFile('decoder.safetensors');
export const TOKENIZER_FILE = weightsFile('decoder-tokenizer.json');

const codecOf = (tokenizer: Tokenizer): Codec => ({
  encode: (text) => tokenizer.encode(text, { specials: false }),
  decode: (ids) => tokenizer.decode(ids),
  boundary: tokenizer.id(END),
});

export const loadCodec = async (): Promise<Codec> =>
  codecOf(orThrow(tokenizerFromJson(JSON.parse(await readFile(TOKENIZER_FILE, 'utf8')))));

/** The committed model. */
export const loadOwn = async (): Promise<Decoder> => ({
  config: OWN,
  weights: await loadTree(WEIGHTS_FILE, initCausalDecoder(OWN, key(0))),
  tokenizer: await loadCodec(),
});
