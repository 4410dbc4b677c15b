/**
 * An adapter that PEFT wrote: read, merged, trained on as a method of ours, and written again.
 */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { orThrow } from 'flatlora/autodiff';
import { mergePeft, peftMethod, targetPaths, writePeft } from 'flatlora/huggingface';
import { loadAdapter, loadModel, saveAdapter } from 'flatlora/huggingface/node';

const fixture = (name) => fileURLToPath(new URL(`../test/fixtures/${name}`, import.meta.url));
const model = orThrow(await loadModel(fixture('huggingface/llama'))());
const adapter = orThrow(await loadAdapter(fixture('peft/lora'), model)());
for (const [layer, { a, scale }] of adapter.layers) {
  console.log(`${layer}: rank ${a.shape[0]}, factor ${scale}`);
}

// Worked into the base: weights of the plain model.
const merged = orThrow(mergePeft(model.weights, adapter));
const before = model.weights.blocks[0].attention.query.weight.get(0, 0);
console.log(
  `a weight before and after: ${before.toFixed(4)} ${merged.blocks[0].attention.query.weight.get(0, 0).toFixed(4)}`,
);

// As a method with arrays: to train on, or to swap by giving the same program other arrays.
const { method, adapters } = orThrow(peftMethod(adapter));
console.log(`as a method: ${method.name} on ${Object.keys(adapters).length} layers`);

// Names of either side lead to the same matrices.
console.log(
  orThrow(targetPaths(model.architecture, model.config, ['layers.0.self_attn.q_proj'])).join(),
);

const folder = mkdtempSync(path.join(tmpdir(), 'flatlora-example-'));
orThrow(
  await saveAdapter(
    folder,
    orThrow(
      writePeft(model.architecture, model.config, adapters, {
        kind: 'lora',
        alpha: 8,
        baseModel: 'tiny',
      }),
    ),
  )(),
);
const { target_modules: names } = JSON.parse(
  readFileSync(path.join(folder, 'adapter_config.json'), 'utf8'),
);
console.log(`written again for ${names.join(', ')}`);
