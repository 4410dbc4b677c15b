/**
 * Golden models: tiny random checkpoints with outputs, losses and gradients by Hugging Face's own model
 * code in float64 (test/fixtures/huggingface). Each is read from its config.json and model.safetensors as
 * a user's files would be, and compared under the names of its tensors.
 */
import { readFileSync } from 'node:fs';
import {
  evaluationContext,
  flatData,
  grad,
  type HostArray,
  hostArray,
  ints,
  orThrow,
} from '../../src/autodiff/index.js';
import { decodeSafetensors, sourceOfTensors } from '../../src/checkpoints/index.js';
import { type Pretrained, pretrained, tensorsToSave } from '../../src/huggingface/index.js';
import type { TaskModel } from '../../src/huggingface/tasks.js';
import { type Backend, evaluate, referenceBackend, wasmBackend } from '../../src/kernels/index.js';

export interface StoredArray {
  readonly shape: readonly number[];
  readonly dtype: 'float' | 'int';
  readonly data: readonly number[];
}

interface Summary {
  readonly l2: number;
  readonly sum: number;
  readonly max_abs: number;
}

export interface Expected {
  readonly inputs: Readonly<Record<string, StoredArray>>;
  readonly outputs: Readonly<Record<string, StoredArray>>;
  readonly loss: number;
  readonly gradients: Readonly<Record<string, StoredArray>>;
  readonly gradient_summary: Readonly<Record<string, Summary>>;
  readonly input_gradients?: Readonly<Record<string, StoredArray>>;
  readonly greedy?: {
    readonly prompt: StoredArray;
    readonly ids: StoredArray;
    /** Of encoder–decoders, which have no prompt. */
    readonly decoder_ids?: StoredArray;
    readonly steps: number;
  };
}

const fixture = (path: string): URL => new URL(`../fixtures/huggingface/${path}`, import.meta.url);

export const readExpected = (path: string): Expected =>
  JSON.parse(readFileSync(fixture(path), 'utf8'));

export const readJson = (path: string): unknown => JSON.parse(readFileSync(fixture(path), 'utf8'));

/** The tensors of a fixture. */
export const readSource = (model: string) =>
  sourceOfTensors(
    orThrow(decodeSafetensors(new Uint8Array(readFileSync(fixture(`${model}/model.safetensors`))))),
  );

/** A model of the fixtures. */
export const readModel = async (model: string): Promise<Pretrained> =>
  orThrow(await pretrained(readJson(`${model}/config.json`), readSource(model))());

/** An array of a fixture; integers as they are, floats in float64. */
export const arrayOf = (x: StoredArray | undefined): HostArray => {
  if (x === undefined) throw new Error('the fixture lacks an array');
  return x.dtype === 'int' ? ints(x.data, x.shape) : hostArray(Float64Array.from(x.data), x.shape);
};

/** [b, channels, height, width] as [b, height, width, channels]. */
export function channelsLast(x: StoredArray | undefined): HostArray {
  const array = arrayOf(x).transpose(0, 2, 3, 1);
  return hostArray(flatData(array), array.shape);
}

/** 1 and 0 as booleans. */
export const maskOf = (x: StoredArray | undefined): HostArray =>
  hostArray(Uint8Array.from(arrayOf(x).data as Int32Array), x?.shape ?? []);

const difference = (found: HostArray, expected: readonly number[]): number => {
  const numbers = flatData(found);
  return numbers.length === expected.length
    ? expected.reduce((worst, x, i) => Math.max(worst, Math.abs(x - (numbers[i] as number))), 0)
    : Number.POSITIVE_INFINITY;
};

/** One fixture file and how its inputs are a batch of ours. */
export interface GoldenCase<X> {
  readonly file: string;
  readonly batch: (expected: Expected) => X;
}

export interface GoldenModel {
  readonly model: string;
  readonly task: (config: never) => TaskModel<never, never>;
  /** Our outputs in the order of these names of the fixture. */
  readonly outputs: readonly string[];
  readonly cases: readonly GoldenCase<unknown>[];
}

/** Both judges: the reference in float64, WebAssembly in float32. */
const BACKENDS: readonly (readonly [string, number, () => Promise<Backend>])[] = [
  ['reference', 1e-9, async () => referenceBackend()],
  ['wasm', 1e-5, () => wasmBackend({ threads: 1 })],
];

/** Tests of outputs, loss, every listed gradient and every gradient's summary. */
export function goldenTests({ model, task, outputs, cases }: GoldenModel): void {
  describe.each(BACKENDS)(`${model} on %s`, (_, tolerance, open) => {
    test.each(cases.map((c) => [c.file, c] as const))('%s', async (file, { batch }) => {
      const backend = await open();
      const expected = readExpected(`${model}/${file}.json`);
      const { architecture, config, weights } = await readModel(model);
      const { outputs: outputsOf, loss } = task(config as never);
      const whole = (w: unknown, x: unknown) => ({
        outputs: outputsOf(w as never, x as never),
        loss: loss(w as never, x as never, evaluationContext()),
        gradient: grad((v: unknown) => loss(v as never, x as never, evaluationContext()))(w),
        ...(expected.input_gradients?.pixel_values && {
          pixels: grad((images: unknown) =>
            loss(w as never, { ...(x as object), images } as never, evaluationContext()),
          )((x as { images: unknown }).images),
        }),
      });
      const found = (await evaluate(
        whole as (...args: never[]) => unknown,
        backend,
        weights as never,
        batch(expected) as never,
      )) as unknown as {
        outputs: HostArray | readonly HostArray[];
        loss: HostArray;
        gradient: unknown;
        pixels?: HostArray;
      };
      await backend.dispose();

      const list = Array.isArray(found.outputs) ? found.outputs : [found.outputs];
      for (const [i, name] of outputs.entries()) {
        const { data } = expected.outputs[name] as StoredArray;
        expect([name, difference(list[i] as HostArray, data)]).toEqual([name, atMost(tolerance)]);
      }
      expect(difference(found.loss, [expected.loss])).toEqual(atMost(tolerance));

      if (found.pixels !== undefined) {
        const { data } = channelsLast(expected.input_gradients?.pixel_values);
        expect(difference(found.pixels, Array.from(data))).toEqual(atMost(tolerance));
      }

      const gradients = orThrow(tensorsToSave(architecture, config, found.gradient));
      expect([...gradients.keys()].sort()).toEqual(Object.keys(expected.gradient_summary).sort());
      for (const [name, { l2, sum, max_abs: most }] of Object.entries(expected.gradient_summary)) {
        const array = (gradients.get(name) as () => { array: HostArray })().array;
        const numbers = Array.from(flatData(array));
        // A sum over n elements may collect n errors of single elements.
        const summed = tolerance * Math.max(1, Math.sqrt(numbers.length));
        expect([name, Math.hypot(...numbers) - l2]).toEqual([name, atMost(summed)]);
        expect([name, numbers.reduce((a, b) => a + b, 0) - sum]).toEqual([name, atMost(summed)]);
        expect([name, Math.max(...numbers.map(Math.abs)) - most]).toEqual([
          name,
          atMost(tolerance),
        ]);
        const listed = expected.gradients[name];
        if (listed !== undefined) {
          expect([name, difference(array, listed.data)]).toEqual([name, atMost(tolerance)]);
        }
      }
    });
  });

  test(`${model}: saved under the names and with the numbers that were read`, async () => {
    const source = readSource(model);
    const { architecture, config, weights } = await readModel(model);
    const tensors = orThrow(tensorsToSave(architecture, config, weights));
    expect([...tensors.keys()].sort()).toEqual([...source.entries.keys()].sort());
    for (const [name, make] of tensors) {
      const { array } = make();
      const original = orThrow(await source.read(name)());
      expect([name, array.shape]).toEqual([name, original.shape]);
      expect([name, flatData(array)]).toEqual([name, flatData(original)]);
    }
  });
}

/** A number of at most this size, of either sign. */
const atMost = (bound: number) => ({
  asymmetricMatch: (x: unknown) => typeof x === 'number' && Math.abs(x) <= bound,
  toString: () => `at most ${bound}`,
  toAsymmetricMatcher: () => `at most ${bound}`,
});
