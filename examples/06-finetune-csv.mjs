/**
 * A whole fine-tuning run from files to files: what `flatlora finetune` does, as one call. A tiny T5 learns
 * from a CSV file; stopped anywhere, the same call goes on to the same bytes.
 */
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { orThrow } from 'flatlora/autodiff';
import { evaluateModel, finetune, finetuneSettings } from 'flatlora/finetune';

const folder = mkdtempSync(path.join(tmpdir(), 'flatlora-example-'));
const fixture = (name) => fileURLToPath(new URL(`../test/fixtures/${name}`, import.meta.url));
const model = path.join(folder, 't5');
cpSync(fixture('huggingface/t5_v1_0'), model, { recursive: true });
cpSync(fixture('tokenizers/words-t5.json'), path.join(model, 'tokenizer.json'));
const words = ['red', 'blue', 'cat', 'dog', 'one', 'two', 'sun', 'moon'];
const rows = Array.from(
  { length: 64 },
  (_, i) => `${words[i % 8]} ${words[(i * 3) % 8]},${words[i % 8]}`,
);
writeFileSync(path.join(folder, 'pairs.csv'), ['text,first', ...rows].join('\n'));

const data = { template: 'first word: {text}', target: '{first}' };
const settings = orThrow(
  finetuneSettings({
    model,
    train: path.join(folder, 'pairs.csv'),
    out: path.join(folder, 'run'),
    ...data,
    method: 'flat-lora',
    sigma: 0.05,
    learningRate: 1e-2,
    steps: 60,
    batchSize: 16,
    threads: 1,
  }),
);
const result = await finetune(settings, {
  observe: (event) =>
    event.kind === 'evaluated' &&
    console.log(`step ${event.step}: loss ${event.metrics.loss.toFixed(3)}`),
});
const { metrics } = await evaluateModel({
  model,
  adapter: result.saved,
  data: { path: path.join(folder, 'pairs.csv'), ...data },
  threads: 1,
});
console.log(
  `with the adapter: loss ${metrics.loss.toFixed(3)}, ${(100 * metrics.exact).toFixed(0)} % exact`,
);
