/** The command line on tiny checkpoints in a folder of its own. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { foldIn, hostBits, key } from '../../src/autodiff/index.js';
import { main } from '../../src/cli/main.js';

const fixtures = fileURLToPath(new URL('../fixtures', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'flatlora-cli-'));
/** A place in the folder; it is there while the file's tests run. */
export const at = (...parts: string[]) => path.join(folder, ...parts);

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function flatlora(...argv: string[]): Promise<Said> {
  let [out, err] = ['', ''];
  const code = await main(
    argv,
    {
      stdout: (text) => {
        out += text;
      },
      stderr: (text) => {
        err += text;
      },
      signal: new AbortController().signal,
    },
    '1.2.3',
  );
  return { code, out, err };
}

/** The result of a command that must succeed. */
export async function json(...argv: string[]) {
  const { code, out, err } = await flatlora(...argv, '--json');
  if (code !== 0) throw new Error(`${argv[0]}: ${code}: ${err}`);
  return JSON.parse(out);
}

const WORDS = ['red', 'blue', 'cat', 'dog', 'one', 'two', 'sun', 'moon'];
export const words = (n: number, count: number) =>
  Array.from(hostBits(foldIn(key(5), n), count), (w) => WORDS[w % WORDS.length]).join(' ');

/** Checkpoints of a Llama, a T5, a BERT and a ViT with their tokenizers; call it in `beforeAll`. */
export function tinyModels(): void {
  for (const [model, tokenizer] of [
    ['llama', 'words'],
    ['t5_v1_0', 'words-t5'],
    ['bert', 'words-bert'],
    ['vit', undefined],
  ] as const) {
    mkdirSync(at(model));
    for (const file of ['config.json', 'model.safetensors']) {
      cpSync(path.join(fixtures, 'huggingface', model, file), at(model, file));
    }
    if (tokenizer !== undefined) {
      cpSync(path.join(fixtures, 'tokenizers', `${tokenizer}.json`), at(model, 'tokenizer.json'));
    }
  }
  writeFileSync(
    at('vit', 'preprocessor_config.json'),
    JSON.stringify({
      do_resize: true,
      size: { height: 16, width: 16 },
      resample: 2,
      image_mean: [0.5, 0.5, 0.5],
      image_std: [0.5, 0.5, 0.5],
    }),
  );
}

export const removeFolder = (): void => rmSync(folder, { recursive: true });
