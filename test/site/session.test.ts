/** The playground's two runs, in Node: what the page shows is what the library computes. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { adaptersOf, filesOf } from '../../site/src/playground/adapterFiles.js';
import { digitsTask, readVitWeights } from '../../site/src/playground/digits.js';
import { SAMPLE_TEXT } from '../../site/src/playground/sampleText.js';
import { openRuns, type Run } from '../../site/src/playground/session.js';
import {
  DEFAULTS,
  hashOfSettings,
  METHOD_CHOICES,
  readSettings,
  type Settings,
  settingsFromHash,
} from '../../site/src/playground/settings.js';
import { readDecoderWeights, textTask } from '../../site/src/playground/text.js';
import { key, orThrow, range } from '../../src/autodiff/index.js';
import { wasmBackend } from '../../src/kernels/index.js';

const fileOf = (name: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../weights/${name}`, import.meta.url))));
const breathe = async () => undefined;

const settings: Settings = { ...DEFAULTS, examples: 4, steps: 20 };
const digits = (own: Settings) =>
  digitsTask(readVitWeights(fileOf('vit-drawn.safetensors')), {
    examples: own.examples,
    key: key(own.seed),
  });

async function withRuns<T>(own: Settings, use: (runs: readonly [Run, Run]) => Promise<T>) {
  const backend = await wasmBackend({ threads: 1 });
  const before = backend.memory().bytes;
  const runs = (await openRuns(digits(own), own, backend)) as readonly [Run, Run];
  const result = await use(runs);
  for (const run of runs) await run.dispose();
  expect(backend.memory().bytes).toBe(before);
  await backend.dispose();
  return result;
}

test('both runs learn, from the same batches; without noise they are one', async () => {
  const curves = (own: Settings) =>
    withRuns(own, async ([plain, flat]) => {
      const losses: [number, number][] = [];
      for (const _ of range(own.steps)) losses.push([await plain.step(), await flat.step()]);
      return { losses, after: await plain.measure() };
    });
  const { losses, after } = await curves(settings);
  expect(losses.at(-1)?.[0]).toBeLessThan(0.7 * (losses[0]?.[0] as number));
  expect(losses.at(-1)?.[1]).toBeLessThan(0.8 * (losses[0]?.[1] as number));
  // The noise grows from nothing with the steps.
  expect(losses[0]?.[0]).toBe(losses[0]?.[1]);
  expect(losses[9]?.[0]).not.toBe(losses[9]?.[1]);
  expect(after).toMatchObject({ step: 20 });
  expect(after.accuracy).toBeGreaterThan(0.3);
  const calm = await curves({ ...settings, sigma: 0 });
  for (const [plain, flat] of calm.losses) expect(flat).toBeCloseTo(plain, 5);
});

test('the surface is lowest near its middle, and the middle is the loss', async () => {
  await withRuns(settings, async ([plain]) => {
    for (const _ of range(20)) await plain.step();
    const { coordinates, losses } = await plain.surface(breathe);
    expect(coordinates[7]).toBe(0);
    const middle = losses[7]?.[7] as number;
    expect(middle).toBeLessThan(losses[0]?.[0] as number);
    expect(middle).toBeLessThan(losses[14]?.[14] as number);
    // 40 training images, of which the first 32 are the probe.
    expect(middle).toBeLessThan(1.2);
  });
});

test('adapters go out as PEFT files and come back', async () => {
  await withRuns(settings, async ([plain, flat]) => {
    for (const _ of range(5)) await plain.step();
    const files = filesOf(orThrow(await plain.files()));
    expect(files.map(({ name }) => name)).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
    ]);
    const read = adaptersOf(files, digits(settings), await flat.adapters());
    flat.setAdapters(read);
    const [a, b] = [await plain.measure(), await flat.measure()];
    expect(b.testLoss).toBe(a.testLoss);
    expect(() => adaptersOf(files.slice(0, 1), digits(settings), read)).toThrow('both files');
    const broken = files.map((f) => ({ ...f, bytes: f.bytes.slice(0, 40) }));
    expect(() => adaptersOf(broken, digits(settings), read)).toThrow(/JSON|safetensors/);
  });
  await withRuns({ ...settings, rank: 4 }, async ([plain]) => {
    const files = filesOf(orThrow(await plain.files()));
    const other = await withRuns(settings, async ([run]) => run.adapters());
    expect(() => adaptersOf(files, digits(settings), other)).toThrow(/expected \[8, 48\]/);
  });
});

test.each(METHOD_CHOICES)('%s runs beside its flat version', async (method) => {
  await withRuns({ ...settings, method, learningRate: 0.003 }, async ([plain, flat]) => {
    for (const run of [plain, flat]) {
      expect(await run.step()).toBeLessThan(10);
      await run.step();
    }
    // Merging is the same for both.
    expect((await flat.measure()).testLoss).toBeLessThan(10);
  });
});

test('the decoder learns a text and goes on with it', async () => {
  const tokenizer = JSON.parse(new TextDecoder().decode(fileOf('decoder-tokenizer.json')));
  const weights = readDecoderWeights(fileOf('decoder.safetensors'));
  const own: Settings = { ...settings, model: 'decoder', sigma: 0.05, examples: 24 };
  const task = textTask(weights, tokenizer, SAMPLE_TEXT, { examples: 24, key: key(1) });
  const backend = await wasmBackend({ threads: 1 });
  const [plain] = (await openRuns(task, own, backend)) as readonly [Run, Run];
  const before = await plain.measure();
  for (const _ of range(20)) await plain.step();
  const after = await plain.measure();
  expect(after.testLoss).toBeLessThan(before.testLoss - 0.5);
  const answer = await plain.ask('Rule 3 of the');
  expect(answer.kind === 'text' && answer.text.length > 10).toBe(true);
  await expect(plain.ask(new Float32Array(256))).rejects.toThrow('answers texts');
  await backend.dispose();
  expect(() => textTask(weights, tokenizer, 'too short', { examples: 4, key: key(1) })).toThrow(
    'letters',
  );
});

test('settings go into an address and come back; what cannot be used is said', () => {
  const own: Settings = { ...DEFAULTS, method: 'pissa', rank: 4, sigma: 0.3, backend: 'wasm' };
  expect(settingsFromHash(hashOfSettings(own))).toEqual({ settings: own, problems: [] });
  expect(hashOfSettings(DEFAULTS)).toBe('#');
  expect(settingsFromHash('#model=decoder').settings).toMatchObject({
    model: 'decoder',
    sigma: 0.05,
  });
  const { settings: made, problems } = readSettings({
    method: 'constructor',
    rank: '2.5',
    sigma: '',
    seed: '-1',
    backend: 'cuda',
  });
  expect(made).toEqual(DEFAULTS);
  expect(problems).toHaveLength(5);
  expect(problems[3]).toBe('Rank r: "2.5" is not a whole number from 1 to 32; 8 is used.');
});
