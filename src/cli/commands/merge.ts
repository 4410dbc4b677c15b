/** `flatlora merge`: works an adapter into its base, and writes a whole checkpoint. */
import { orThrow } from '../../autodiff/index.js';
import { mergePeft } from '../../huggingface/index.js';
import { copyCompanions, loadAdapter, loadModel, saveModel } from '../../huggingface/node/index.js';
import { type Command, type Flag, onlyKnown, required, SHARED_FLAGS } from '../command.js';
import { EXIT } from '../exit.js';

const FLAGS: readonly Flag[] = [
  SHARED_FLAGS.model,
  SHARED_FLAGS.adapter,
  { field: 'out', kind: 'text', help: 'folder for the merged model' },
];

export const mergeCommand: Command = {
  name: 'merge',
  summary: 'work an adapter into its base model',
  examples: ['flatlora merge --model ./llama --adapter run/adapter --out ./merged'],
  flags: FLAGS,
  run: async (given, { out }) => {
    onlyKnown(given, FLAGS);
    const folder = required(given, 'out');
    const from = required(given, 'model');
    const model = orThrow(await loadModel(from)());
    const adapter = orThrow(await loadAdapter(required(given, 'adapter'), model)());
    const weights = orThrow(mergePeft(model.weights, adapter));
    orThrow(await saveModel(folder, { ...model, weights })());
    orThrow(await copyCompanions(from, folder)());
    out(
      { saved: folder, layers: adapter.layers.size },
      () => `merged ${adapter.layers.size} layers into ${folder}`,
    );
    return EXIT.ok;
  },
};
