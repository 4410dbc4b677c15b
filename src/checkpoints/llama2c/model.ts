/**
 * Checkpoints of llama2.c in its first format (`run.c` of karpathy/llama2.c, "version 0"), such as the
 * tinyllamas models: a small real pre-trained Llama that fits any machine.
 *
 *     header   7 × int32, little-endian: width, MLP width, layers, heads, key–value heads,
 *              vocabulary (negative: the head is a matrix of its own), longest sequence
 *     tensors  float32, each for all layers before the next:
 *              token embedding · attention norms · wq · wk · wv · wo · MLP norms · w1 · w2 · w3 ·
 *              last norm · cosines and sines of the rotary positions · the head, if it is its own
 *
 * llama2.c turns the pairs (x₂ᵢ, x₂ᵢ₊₁) of a head, this library the pairs (xᵢ, xᵢ₊d⸝₂), as Hugging
 * Face's Llama does. The same scores come out when the rows of wq and wk are put in the other order,
 * which is done here once.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import {
  fail,
  type HostArray,
  hostArray,
  type Result,
  range,
  type Shape,
  sizeOf,
} from '../../autodiff/index.js';
import type { CausalDecoderConfig, CausalDecoderWeights } from '../../models/index.js';

export interface Llama2cModel {
  /** For `causalDecoder`. */
  readonly config: CausalDecoderConfig;
  readonly weights: CausalDecoderWeights<HostArray>;
}

const HEADER_BYTES = 7 * 4;

interface Sizes {
  readonly width: number;
  readonly mlpWidth: number;
  readonly depth: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly vocabulary: number;
  readonly ownHead: boolean;
  readonly maxLength: number;
}

function readHeader(bytes: Uint8Array, name: string): Result<Sizes> {
  if (bytes.length < HEADER_BYTES) {
    return fail(
      'checkpoint',
      `${name}: ${bytes.length} bytes, expected a header of ${HEADER_BYTES}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const numbers = range(7).map((i) => view.getInt32(4 * i, true)) as Header;
  const [width, mlpWidth, depth, heads, keyValueHeads, signedVocabulary, maxLength] = numbers;
  const fits =
    numbers.every((n, i) => (i === 5 ? n !== 0 : n > 0)) &&
    width % heads === 0 &&
    (width / heads) % 2 === 0 &&
    heads % keyValueHeads === 0;
  return fits
    ? E.right({
        width,
        mlpWidth,
        depth,
        heads,
        keyValueHeads,
        vocabulary: Math.abs(signedVocabulary),
        ownHead: signedVocabulary < 0,
        maxLength,
      })
    : fail('checkpoint', `${name}: header is ${numbers.join(', ')}, expected sizes of a Llama`);
}

type Header = [number, number, number, number, number, number, number];

/** The tensors in the order of the file, each with its shape. */
const layout = (s: Sizes) => {
  const headWidth = s.width / s.heads;
  const shared = s.keyValueHeads * headWidth;
  return {
    tokenEmbedding: [s.vocabulary, s.width],
    attentionNorm: [s.depth, s.width],
    query: [s.depth, s.width, s.width],
    key: [s.depth, shared, s.width],
    value: [s.depth, shared, s.width],
    out: [s.depth, s.width, s.width],
    mlpNorm: [s.depth, s.width],
    gate: [s.depth, s.mlpWidth, s.width],
    fc2: [s.depth, s.width, s.mlpWidth],
    fc1: [s.depth, s.mlpWidth, s.width],
    norm: [s.width],
    cosines: [s.maxLength, headWidth / 2],
    sines: [s.maxLength, headWidth / 2],
    ...(s.ownHead && { head: [s.vocabulary, s.width] }),
  } as const satisfies Readonly<Record<string, Shape>>;
};

type TensorName = keyof ReturnType<typeof layout> | 'head';

/** Little-endian float32, copied, since they need not be aligned in the file. */
function floatsAt(bytes: Uint8Array, start: number, count: number): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, 4 * count);
  return Float32Array.from({ length: count }, (_, i) => view.getFloat32(4 * i, true));
}

/** Each head's rows 0 1 2 3 … as 0 2 4 … 1 3 5 …: from neighbouring pairs to halves. */
function pairsToHalves(matrix: HostArray, headWidth: number): HostArray {
  const [rows, width] = matrix.shape as [number, number];
  const half = headWidth / 2;
  const data = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headWidth;
    const source = row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
    data.set(
      matrix.data.subarray(source * width, (source + 1) * width) as Float32Array,
      row * width,
    );
  }
  return hostArray(data, [rows, width]);
}

/**
 * Reads a model from the bytes of a file.
 * @param name stands for the file in messages.
 * @returns a problem of kind `checkpoint` when the sizes make no Llama or the length does not fit them.
 */
export function readLlama2c(bytes: Uint8Array, name = 'llama2c'): Result<Llama2cModel> {
  return pipe(
    readHeader(bytes, name),
    E.chain((sizes): Result<Llama2cModel> => {
      const shapes = Object.entries(layout(sizes)) as [TensorName, Shape][];
      const expected = shapes.reduce((n, [, shape]) => n + 4 * sizeOf(shape), HEADER_BYTES);
      if (bytes.length !== expected) {
        return fail('checkpoint', `${name}: ${bytes.length} bytes, expected ${expected}`);
      }
      const starts = new Map<TensorName, number>();
      shapes.reduce((at, [tensor, shape]) => {
        starts.set(tensor, at);
        return at + 4 * sizeOf(shape);
      }, HEADER_BYTES);
      const all = layout(sizes) as Readonly<Record<TensorName, Shape>>;
      const whole = (tensor: TensorName): HostArray =>
        hostArray(floatsAt(bytes, starts.get(tensor) as number, sizeOf(all[tensor])), all[tensor]);
      const ofLayer = (tensor: TensorName, layer: number): HostArray => {
        const shape = all[tensor].slice(1);
        const size = sizeOf(shape);
        const start = (starts.get(tensor) as number) + 4 * layer * size;
        return hostArray(floatsAt(bytes, start, size), shape);
      };
      return E.right(assemble(sizes, whole, ofLayer));
    }),
  );
}

function assemble(
  sizes: Sizes,
  whole: (tensor: TensorName) => HostArray,
  ofLayer: (tensor: TensorName, layer: number) => HostArray,
): Llama2cModel {
  const { ownHead, ...shared } = sizes;
  const headWidth = sizes.width / sizes.heads;
  return {
    config: {
      ...shared,
      activation: 'silu',
      gatedMlp: true,
      norm: 'rmsNorm',
      normEpsilon: 1e-5,
      biases: false,
      positions: 'rotary',
      tiedHead: !ownHead,
    },
    weights: {
      tokenEmbedding: { weight: whole('tokenEmbedding') },
      blocks: range(sizes.depth).map((layer) => {
        const matrix = (tensor: TensorName) => ({ weight: ofLayer(tensor, layer) });
        const turned = (tensor: TensorName) => ({
          weight: pairsToHalves(ofLayer(tensor, layer), headWidth),
        });
        return {
          attentionNorm: { scale: ofLayer('attentionNorm', layer) },
          attention: {
            query: turned('query'),
            key: turned('key'),
            value: matrix('value'),
            out: matrix('out'),
          },
          mlpNorm: { scale: ofLayer('mlpNorm', layer) },
          mlp: { fc1: matrix('fc1'), fc2: matrix('fc2'), gate: matrix('gate') },
        };
      }),
      norm: { scale: whole('norm') },
      ...(ownHead && { head: { weight: whole('head') } }),
    },
  };
}
