/**
 * The command line on tiny checkpoints: every command, every data format, a killed run that goes on to
 * the same bytes, errors with their exit codes.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { flatData, foldIn, hostBits, key, orThrow, range } from '../../src/autodiff/index.js';
import { COMMANDS } from '../../src/cli/registry.js';
import { loadModel } from '../../src/huggingface/node/index.js';
import { at, flatlora, json, removeFolder, tinyModels, words } from './support.js';

afterAll(removeFolder);

beforeAll(async () => {
  tinyModels();
  const rows = range(40);
  writeFileSync(
    at('text.jsonl'),
    rows.map((n) => JSON.stringify({ prompt: words(n, 4), response: words(n + 99, 1) })).join('\n'),
  );
  writeFileSync(
    at('pairs.csv'),
    `from,to\n${rows.map((n) => `${words(n, 5)},${words(n + 99, 2)}`).join('\n')}\n`,
  );
  writeFileSync(
    at('labels.tsv'),
    `sentence\tlabel\n${rows.map((n) => `${words(n, 5)}\t${n % 3}`).join('\n')}\n`,
  );
  for (const label of range(10)) {
    mkdirSync(at('images', `class${label}`), { recursive: true });
    for (const n of range(2)) {
      const pixels = Buffer.from(hostBits(foldIn(key(label), n), 20 * 20 * 3).map((w) => w % 256));
      const image = sharp(pixels, { raw: { width: 20, height: 20, channels: 3 } });
      writeFileSync(at('images', `class${label}`, `${n}.png`), await image.png().toBuffer());
    }
  }
});

const FAST = ['--threads', '1', '--steps', '4', '--batch-size', '8'];

test('every command has a help that names its flags', async () => {
  for (const { name, flags } of COMMANDS) {
    const { code, out } = await flatlora(name, '--help');
    expect([name, code]).toEqual([name, 0]);
    for (const { field } of flags) {
      expect(out).toContain(`--${field.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`);
    }
    expect(out).toContain('Examples:');
  }
  expect((await flatlora('--version')).out).toBe('1.2.3\n');
});

describe('finetune', () => {
  test('a Llama on JSON Lines: adapter, metrics, events, report; merged it is the same model', async () => {
    const result = await json(
      'finetune',
      '--model',
      at('llama'),
      '--train',
      at('text.jsonl'),
      '--out',
      at('llama-run'),
      ...FAST,
    );
    expect(result).toMatchObject({ reason: 'completed', steps: 4, backend: 'wasm' });
    const files = readdirSync(at('llama-run'));
    for (const name of [
      'adapter',
      'best',
      'checkpoints',
      'metrics.jsonl',
      'report.html',
      'run.json',
    ]) {
      expect(files).toContain(name);
    }
    expect(files.some((name) => name.startsWith('events.out.tfevents'))).toBe(true);
    const adapter = ['--adapter', at('llama-run', 'adapter')];
    const data = ['--data', at('text.jsonl'), '--threads', '1'];
    const base = ['--model', at('llama')];
    const [before, after] = [
      await json('evaluate', ...base, ...data),
      await json('evaluate', ...base, ...adapter, ...data),
    ];
    expect(after.metrics.loss).toBeLessThan(before.metrics.loss);
    await json('merge', ...base, ...adapter, '--out', at('merged'));
    const merged = await json('evaluate', '--model', at('merged'), ...data);
    expect(merged.metrics.loss).toBeCloseTo(after.metrics.loss, 5);
    expect(existsSync(at('merged', 'tokenizer.json'))).toBe(true);
    const text = await json(
      'generate',
      ...base,
      ...adapter,
      '--prompt',
      'red cat',
      '--max-tokens',
      '5',
      '--threads',
      '1',
    );
    expect(text.tokens).toBeLessThanOrEqual(5);
    expect(await json('inspect', '--model', at('llama-run', 'adapter'))).toMatchObject({
      kind: 'adapter',
      method: 'lora',
      rank: 8,
      alpha: 16,
    });
  });

  test('a T5 on CSV by templates, with a config file that flags override', async () => {
    writeFileSync(
      at('t5.json'),
      JSON.stringify({
        model: at('t5_v1_0'),
        train: at('pairs.csv'),
        template: 'say: {from}',
        target: '{to}',
        method: 'lora',
        steps: 9,
        batchSize: 8,
      }),
    );
    const result = await json(
      'finetune',
      '--config',
      at('t5.json'),
      '--out',
      at('t5-run'),
      ...FAST,
    );
    expect(result).toMatchObject({ steps: 4 });
    expect(
      JSON.parse(readFileSync(at('t5-run', 'adapter', 'adapter_config.json'), 'utf8')),
    ).toMatchObject({
      task_type: 'SEQ_2_SEQ_LM',
      target_modules: ['k', 'o', 'q', 'v', 'wi', 'wo'],
    });
  });

  test('what a T5 writes, greedily and by beam search', async () => {
    const ask = [
      'generate',
      '--model',
      at('t5_v1_0'),
      '--prompt',
      'red cat',
      '--max-tokens',
      '4',
      '--threads',
      '1',
    ];
    expect((await json(...ask)).tokens).toBeLessThanOrEqual(4);
    expect((await json(...ask, '--beams', '3')).tokens).toBeLessThanOrEqual(4);
  });

  test('a BERT on TSV with DoRA', async () => {
    const result = await json(
      'finetune',
      '--model',
      at('bert'),
      '--train',
      at('labels.tsv'),
      '--method',
      'dora',
      '--out',
      at('bert-run'),
      ...FAST,
    );
    expect(Object.keys(result.metrics)).toEqual(['loss', 'accuracy']);
  });

  test('a ViT on a folder of images; full fine-tuning leaves a model', async () => {
    const result = await json(
      'finetune',
      '--model',
      at('vit'),
      '--train',
      at('images'),
      '--method',
      'full',
      '--out',
      at('vit-run'),
      ...FAST,
    );
    expect(result.saved).toBe(at('vit-run', 'model'));
    const [base, tuned] = [
      orThrow(await loadModel(at('vit'))()),
      orThrow(await loadModel(at('vit-run', 'model'))()),
    ];
    expect(tuned.json).toEqual(base.json);
    const query = (model: unknown) =>
      flatData(
        (model as { weights: { blocks: { attention: { query: { weight: never } } }[] } }).weights
          .blocks[0]?.attention.query.weight as never,
      );
    expect(query(tuned)).not.toEqual(query(base));
  });

  test('killed at any moment, it goes on to the same bytes', async () => {
    const dist = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url));
    expect(existsSync(dist)).toBe(true);
    const argv = (out: string) => [
      'finetune',
      '--model',
      at('llama'),
      '--train',
      at('text.jsonl'),
      '--out',
      out,
      '--threads',
      '1',
      '--steps',
      '60',
      '--batch-size',
      '8',
      '--checkpoint-every',
      '5',
      '--evaluate-every',
      '7',
    ];
    const run = (out: string, killAt?: number) =>
      new Promise<number | null>((resolve) => {
        const child = spawn(process.execPath, [dist, ...argv(out)], { stdio: 'ignore' });
        const watch = setInterval(() => {
          const saved = existsSync(path.join(out, 'checkpoints'))
            ? readdirSync(path.join(out, 'checkpoints'))
            : [];
          if (killAt !== undefined && saved.some((name) => Number(/\d+/.exec(name)?.[0]) >= killAt))
            child.kill('SIGKILL');
        }, 5);
        child.on('exit', (code) => {
          clearInterval(watch);
          resolve(code);
        });
      });
    expect(await run(at('whole'))).toBe(0);
    expect(await run(at('killed'), 10)).toBe(null);
    expect(await run(at('killed'))).toBe(0);
    const bytes = (out: string) =>
      [
        'adapter/adapter_model.safetensors',
        'best/adapter_model.safetensors',
        'best.json',
        'metrics.jsonl',
      ].map((file) => readFileSync(path.join(out, file)).toString('base64'));
    expect(bytes(at('killed'))).toEqual(bytes(at('whole')));
  }, 60_000);
});

test('sharpness and landscape', async () => {
  const look = [
    '--model',
    at('llama'),
    '--data',
    at('text.jsonl'),
    '--threads',
    '1',
    '--examples',
    '8',
    '--batch-size',
    '8',
  ];
  const found = await json('sharpness', ...look, '--samples', '2');
  expect(found.topEigenvalue.value).toBeGreaterThan(0);
  expect(found.worstRise.value).toBeGreaterThan(0);
  await json('landscape', ...look, '--points', '3', '--out', at('picture'));
  expect(readFileSync(at('picture', 'landscape.html'), 'utf8')).toContain('<svg');
});

test('inspect lists tensors; doctor says what works', async () => {
  const found = await json('inspect', '--model', at('llama'), '--tensors');
  expect(found).toMatchObject({
    kind: 'model',
    architecture: 'LlamaForCausalLM',
    parameters: 19616,
  });
  expect(found.list).toHaveLength(21);
  expect(found.targetModules.q_proj).toBe('2 × [32,32]');
  const file = await json('inspect', '--model', at('llama', 'model.safetensors'));
  expect(file.tensors).toBe(21);
});

describe('mistakes: one line, and a code for scripts', () => {
  test.each([
    [['finetune', '--rank', 'x'], 2, /--rank: given "x", expected a number/],
    [
      ['finetune', '--model', 'm', '--train', 'x.csv', '--out', 'o', '--rank', '0'],
      2,
      /rank: given 0, expected/,
    ],
    [
      ['finetune', '--model', 'm', '--train', 'x.csv', '--out', 'o', '--method', 'laura'],
      2,
      /method: given "laura", expected one of/,
    ],
    [
      ['finetune', '--model', 'nowhere', '--train', 'x.csv', '--out', 'o'],
      4,
      /nowhere.config\.json: ENOENT/,
    ],
    [['evaluate', '--data', 'x'], 2, /--model is missing/],
    [['evaluate', '--nothing'], 2, /unknown option/],
    [['merge', '--config', 'nowhere.json'], 2, /--config nowhere\.json: ENOENT/],
    [['dance'], 2, /unknown command/],
  ] as const)('%s', async (argv, code, expected) => {
    const said = await flatlora(...argv);
    expect(said.code).toBe(code);
    expect(said.err).toMatch(expected);
    expect(said.out).toBe('');
  });

  test('data that do not fit name the file, the record and the field', async () => {
    writeFileSync(at('odd.csv'), 'sentence,label\nred cat,9\n');
    const said = await flatlora(
      'finetune',
      '--model',
      at('bert'),
      '--train',
      at('odd.csv'),
      '--out',
      at('odd'),
    );
    expect(said.code).toBe(3);
    expect(said.err).toMatch(/odd\.csv: 10 classes, the model has 3/);
    expect(existsSync(at('odd'))).toBe(false);
  });

  test('another run in the folder is not overwritten', async () => {
    const said = await flatlora(
      'finetune',
      '--model',
      at('llama'),
      '--train',
      at('text.jsonl'),
      '--out',
      at('llama-run'),
      ...FAST,
      '--rank',
      '4',
    );
    expect(said.code).toBe(2);
    expect(said.err).toMatch(/other settings \(rank: 8 saved, 4 now\)/);
  });

  test('targets that are not there list near ones', async () => {
    const said = await flatlora(
      'finetune',
      '--model',
      at('llama'),
      '--train',
      at('text.jsonl'),
      '--out',
      at('no'),
      '--target-modules',
      'q_prj',
    );
    expect(said.code).toBe(2);
    expect(said.err).toMatch(/"q_prj" names no weight matrix.*q_proj/);
  });
});
