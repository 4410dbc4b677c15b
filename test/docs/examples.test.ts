/** The examples run as a reader would run them, and say what they are there to say. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { root } from './pages.js';

const run = promisify(execFile);

/** What each must print. */
const SAID: Readonly<Record<string, RegExp>> = {
  '01-gradients.mjs':
    /gradient: +0\.8415 0\.9093 -0\.7568\nthe same by hand: +0\.8415 0\.9093 -0\.7568/,
  '02-plan.mjs': /product/,
  '03-lora.mjs':
    /7504 of 26858 numbers are trained[\s\S]*accuracy on the training images: [5-9]\d %/,
  '04-flat-lora.mjs':
    /LoRA +loss 0\.\d+[\s\S]*Flat-LoRA +loss 0\.\d+, mean rise under noise 0\.\d+/,
  '05-generate.mjs': /LlamaForCausalLM[\s\S]*drawn, top-p 0\.9: (\d+ ?){10}/,
  '06-finetune-csv.mjs': /with the adapter: loss \d\.\d+, \d+ % exact/,
  '07-peft-adapter.mjs': /written again for model\.layers\.0\.self_attn\.q_proj/,
  '08-loss-transformer.mjs': /all together +loss \d+\.\d+, gradient \d/,
  '09-sharpness.mjs': /largest eigenvalues: \d[\s\S]*worst rise within 0\.05: 0\.\d+/,
  '10-memory.mjs': /bfloat16 +true +2\.18/,
};

const files = readdirSync(path.join(root, 'examples')).filter((name) => name.endsWith('.mjs'));

test('every example is here', () => {
  expect(files.sort()).toEqual(Object.keys(SAID).sort());
});

test.each(files)(
  '%s',
  async (name) => {
    const { stdout } = await run(process.execPath, [path.join(root, 'examples', name)], {
      timeout: 60_000,
    });
    expect(stdout).toMatch(SAID[name] as RegExp);
  },
  60_000,
);
