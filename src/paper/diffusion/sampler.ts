/** Drawing images from a diffusion transformer on a backend. */
import {
  flatData,
  floats,
  foldIn,
  type HostArray,
  hostArray,
  hostNormal,
  ints,
  type Key,
  range,
  type Value,
} from '../../autodiff/index.js';
import { type Backend, compile, type DeviceArray, release } from '../../kernels/index.js';
import { ddimStep, guided, samplingTimes } from '../../models/index.js';
import { CLASSES, denoiser, SCHEDULE, SIDE, type Weights } from './model.js';

export interface SamplerOptions {
  /** DDIM steps per image. */
  readonly steps: number;
  /** Guidance weight; 1 for none. */
  readonly guidance: number;
  /** Images per run of the program. */
  readonly batchSize: number;
}

export interface Sampler {
  /**
   * One image per label: image i starts from noise number i of the key, whatever the batch size.
   * @param weights host arrays of the plain model.
   * @returns [labels, 14, 14] from −1 to 1.
   */
  readonly sample: (
    weights: unknown,
    labels: readonly number[],
    key: Key,
    progress?: (done: number) => void,
  ) => Promise<HostArray>;
  readonly dispose: () => Promise<void>;
}

/** Compiles one DDIM step, with which all images are drawn. */
export function sampler(backend: Backend, { steps, guidance, batchSize }: SamplerOptions): Sampler {
  const step = compile(
    (weights: Weights, images: Value, labels: Value, from: Value, to: Value) =>
      ddimStep(guided(denoiser(weights), CLASSES, guidance), SCHEDULE, images, labels, from, to),
    backend,
    { donate: [1] },
  );
  const times = samplingTimes(SCHEDULE, steps);
  const size = SIDE * SIDE;
  return {
    sample: async (weights, labels, key, progress = () => undefined) => {
      const out = new Float32Array(labels.length * size);
      const batches = Math.ceil(labels.length / batchSize);
      for (let b = 0; b < batches; b++) {
        // The last batch is filled up with repetitions of its last image.
        const numbers = range(batchSize).map((i) => Math.min(b * batchSize + i, labels.length - 1));
        const noise = new Float32Array(batchSize * size);
        numbers.forEach((n, i) => {
          noise.set(hostNormal(foldIn(key, n), size), i * size);
        });
        const wanted = ints(numbers.map((n) => labels[n] as number));
        let images: unknown = hostArray(noise, [batchSize, SIDE, SIDE]);
        for (let s = 0; s < steps; s++) {
          const [from, to] = [times[s] as number, times[s + 1] as number];
          images = await step(weights, images, wanted, ints([from], []), ints([to], []));
          progress((b + (s + 1) / steps) / batches);
        }
        const drawn = flatData(await backend.download(images as DeviceArray));
        release(backend, images);
        const kept = Math.min(batchSize, labels.length - b * batchSize);
        out.set(drawn.subarray(0, kept * size) as Float32Array, b * batchSize * size);
      }
      return floats(out, [labels.length, SIDE, SIDE]);
    },
    dispose: step.dispose,
  };
}
