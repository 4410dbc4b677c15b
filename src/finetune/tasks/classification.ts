/** Fine-tuning classifiers of images and of texts. */
import path from 'node:path';
import {
  argmax,
  convert,
  equal,
  FlatloraError,
  hostArray,
  type Value,
} from '../../autodiff/index.js';
import {
  decodeImage,
  imageProcessorOf,
  isImageFile,
  listImages,
  type PixelImage,
  processImage,
  readImageFile,
  withChannels,
} from '../../data/index.js';
import {
  type ImageBatch,
  imageClassification,
  type TextBatch,
  textClassification,
} from '../../huggingface/tasks.js';
import {
  softmaxCrossEntropy,
  type TextEncoderConfig,
  type TextEncoderWeights,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
} from '../../models/index.js';
import type { Metrics } from '../../training/index.js';
import { blankBooleans, blankFloats, blankInts } from './blank.js';
import { fixedRows, ragged } from './examples.js';
import { fields, filled, knownField, labelsOf, orDataError, recordsOf } from './records.js';
import type { Examples, TaskKind } from './types.js';

const scored = (logits: Value, labels: Value) => ({
  loss: softmaxCrossEntropy(logits, labels, { reduction: 'none' }),
  accuracy: convert(equal(argmax(logits, 1), labels), 'float'),
});

const metrics = ({ loss = Number.NaN, accuracy = Number.NaN }: Metrics): Metrics => ({
  loss,
  accuracy,
});

const SHARED = {
  metrics,
  best: { metric: 'accuracy', higher: true },
  targetModules: () => ['query', 'key', 'value', 'out', 'fc1', 'fc2'],
} as const;

/** Images that are read one after the other, so that few are in memory as they are in the files. */
interface ImageSource {
  /** The class of each image by name. */
  readonly labels: readonly string[];
  readonly image: (i: number) => Promise<PixelImage>;
  readonly nameOf: (i: number) => string;
}

/** A folder with a subfolder for each class, or a file of IDX or CIFAR. */
async function openImages(place: string, channels: 1 | 3): Promise<ImageSource> {
  if (isImageFile(place)) {
    const { labels, image } = orDataError(await readImageFile(place)());
    return {
      labels: Array.from(labels, String),
      image: async (i) => withChannels(image(i), channels),
      nameOf: (i) => `${path.basename(place)}: image ${i + 1}`,
    };
  }
  const { files, classes } = orDataError(await listImages(place)());
  const fileOf = (i: number) => (files[i] as (typeof files)[number]).file;
  return {
    labels: files.map(({ label }) => classes[label] as string),
    image: async (i) => orDataError(await decodeImage(fileOf(i), { channels })()),
    nameOf: (i) => path.basename(fileOf(i)),
  };
}

/** Images as [n, height, width, channels], processed as the model wants them. */
async function loadImages(
  place: string,
  { imageSize, channels = 1 }: VisionTransformerConfig,
  known: readonly string[] | undefined,
  preprocessor: () => Promise<unknown>,
): Promise<Examples> {
  if (channels !== 1 && channels !== 3) {
    throw new FlatloraError('data', `images: the model has ${channels} channels, expected 1 or 3`);
  }
  const processor = orDataError(imageProcessorOf(await preprocessor()));
  const source = await openImages(place, channels);
  const { labels } = labelsOf({ path: place }, source.labels, known);
  const [height, width] = typeof imageSize === 'number' ? [imageSize, imageSize] : imageSize;
  const size = height * width * channels;
  const count = labels.length;
  const pixels = new Float32Array(count * size);
  for (let i = 0; i < count; i++) {
    const made = processImage(await source.image(i), processor);
    if (made.height !== height || made.width !== width) {
      throw new FlatloraError(
        'data',
        `${source.nameOf(i)}: preprocessor_config.json makes ${made.height}×${made.width}, the model takes ${height}×${width}`,
      );
    }
    pixels.set(made.data, i * size);
  }
  const shape = [count, height, width, ...(channels === 1 ? [] : [channels])];
  return fixedRows({
    images: hostArray(pixels, shape),
    labels: hostArray(labels, [count]),
  });
}

export const imageClassificationTask: TaskKind<VisionTransformerWeights, ImageBatch> = {
  ...SHARED,
  task: 'image-classification',
  model: imageClassification,
  load: ({ path: place }, { config, classes, preprocessor }) =>
    loadImages(place, config as VisionTransformerConfig, classes, preprocessor),
  blank: ({ imageSize, channels = 1 }: VisionTransformerConfig, batchSize) => {
    const [height, width] = typeof imageSize === 'number' ? [imageSize, imageSize] : imageSize;
    return {
      images: blankFloats(batchSize, height, width, ...(channels === 1 ? [] : [channels])),
      labels: blankInts(batchSize),
    };
  },
  perExample: (config: VisionTransformerConfig) => {
    const { outputs } = imageClassification(config);
    return (weights, batch) => scored(outputs(weights, batch), batch.labels);
  },
};

const TEXT = ['text', 'sentence', 'sentence1', 'question', 'premise'];
const SECOND = ['sentence2', 'hypothesis', 'second'];

interface Encoded {
  readonly ids: readonly number[];
  readonly types: readonly number[];
  readonly label: number;
}

export const textClassificationTask: TaskKind<TextEncoderWeights, TextBatch> = {
  ...SHARED,
  task: 'text-classification',
  model: textClassification,
  load: async (source, { tokenizer: load, classes, limits, padToken = 0 }) => {
    const records = await recordsOf(source);
    const field = knownField(records, TEXT);
    const template = source.template ?? (field === undefined ? undefined : `{${field}}`);
    if (template === undefined) {
      throw new FlatloraError(
        'data',
        `${source.path}: no field ${TEXT.join(', ')}; say with --template what is read`,
      );
    }
    const first = filled(source, records, template);
    const second = source.pair ?? knownField(records, SECOND);
    const seconds = second === undefined ? undefined : fields(source, records, second);
    const { labels } = labelsOf(source, fields(source, records, source.label ?? 'label'), classes);
    const tokenizer = await load();
    const encoded = first.map((text, i): Encoded => {
      const { ids, types } = tokenizer.encodePair(text, seconds?.[i]);
      return {
        ids: ids.slice(0, limits.maxLength),
        types: types.slice(0, limits.maxLength),
        label: labels[i] as number,
      };
    });
    return ragged(
      encoded,
      ({ ids }) => ids.length,
      limits.buckets,
      (some, length) => {
        const shape = [some.length, length];
        const [tokens, types, mask] = [
          new Int32Array(some.length * length).fill(padToken),
          new Int32Array(some.length * length),
          new Uint8Array(some.length * length),
        ];
        for (const [row, example] of some.entries()) {
          tokens.set(example.ids, row * length);
          types.set(example.types, row * length);
          mask.fill(1, row * length, row * length + example.ids.length);
        }
        return {
          tokens: hostArray(tokens, shape),
          types: hostArray(types, shape),
          mask: hostArray(mask, shape),
          labels: hostArray(
            Int32Array.from(some, ({ label }) => label),
            [some.length],
          ),
        };
      },
    );
  },
  blank: (_, batchSize, { maxLength: length }) => ({
    tokens: blankInts(batchSize, length),
    types: blankInts(batchSize, length),
    mask: blankBooleans(batchSize, length),
    labels: blankInts(batchSize),
  }),
  perExample: (config: TextEncoderConfig) => {
    const { outputs } = textClassification(config);
    return (weights, batch) => scored(outputs(weights, batch), batch.labels);
  },
};
