/**
 * Frozen weights in eight or four bits, unpacked in the kernels that read them.
 *
 * - `int8`: W_ij ≈ s·q_ij/127, q from −127 to 127, s the greatest |W_ij| of a row (or of a block of one).
 *   Dettmers et al., "LLM.int8()", 2022, without its exceptions for outliers.
 * - `nf4`: W_ij ≈ s·ℓ[q_ij], ℓ the 16 levels of NormalFloat, s of each block of 64. Dettmers et al.,
 *   "QLoRA", 2023, §3, without its second quantisation of s.
 *
 * Eight (or four) rows that follow each other share the words of their elements: word [k, j] holds rows 8k …
 * 8k + 7 of column j. So neighbours along a row are neighbours in memory. A quantised matrix is a node
 * `{ nf4: words, scales }` of the tree; `dequantised` puts a value in its place inside a program, which the
 * plan never stores: as with half precision, products read the packed words.
 */
import {
  add,
  broadcastTo,
  constant,
  convert,
  FlatloraError,
  flatData,
  gather,
  type HostArray,
  hostArray,
  iota,
  isHostArray,
  isValue,
  mul,
  nibble,
  reshape,
  type Shape,
  toFloat,
  treeMap,
  type Value,
} from '../autodiff/index.js';
import { isTable } from './weights.js';

export type Quantisation = 'int8' | 'nf4';

/** A quantised matrix [m, n]. */
export type QuantisedMatrix<V = Value> =
  | { readonly nf4: V; readonly scales: V }
  | { readonly int8: V; readonly scales: V };

/** Rows that share a word. */
const ROWS_PER_WORD: Readonly<Record<Quantisation, number>> = { int8: 4, nf4: 8 };
/** Columns of a block with one scale; all of a row for int8. */
const NF4_BLOCK = 64;
const INT8_GREATEST = 127;
const INT8_ZERO = 128;

/**
 * The levels of NormalFloat with four bits: quantiles of N(0, 1) at evenly spaced probabilities, eight above
 * zero and seven below, between which zero is exact; over the greatest. Appendix E of the QLoRA paper.
 */
export const NF4_LEVELS: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
];

const blockOf = (kind: Quantisation, n: number): number => (kind === 'nf4' ? NF4_BLOCK : n);

/** Whether a matrix fills words and blocks; others stay as they are. */
export const canQuantise = (kind: Quantisation, shape: Shape): boolean => {
  const [m, n] = shape;
  return (
    shape.length === 2 &&
    (m as number) % ROWS_PER_WORD[kind] === 0 &&
    (n as number) % blockOf(kind, n as number) === 0 &&
    (n as number) > 0
  );
};

/** Shapes of the words and of the scales. */
export function quantisedShapes(kind: Quantisation, [m, n]: readonly [number, number]) {
  return {
    words: [m / ROWS_PER_WORD[kind], n],
    scales: [m, n / blockOf(kind, n)],
  } as const;
}

/** The position of the nearest level; the lower of two that are equally near. */
function nearestLevel(x: number): number {
  let best = 0;
  for (let i = 1; i < NF4_LEVELS.length; i++) {
    if (Math.abs(x - (NF4_LEVELS[i] as number)) < Math.abs(x - (NF4_LEVELS[best] as number)))
      best = i;
  }
  return best;
}

/**
 * Quantises a matrix on the host.
 * @throws FlatloraError for a matrix whose rows or columns fill no words or blocks (`canQuantise`).
 */
export function quantise(matrix: HostArray, kind: Quantisation): QuantisedMatrix<HostArray> {
  if (!canQuantise(kind, matrix.shape)) {
    throw new FlatloraError(
      'shape',
      `quantise: the matrix is [${matrix.shape.join()}], expected a multiple of ${ROWS_PER_WORD[kind]} rows${kind === 'nf4' ? ` and of ${NF4_BLOCK} columns` : ''} for ${kind}`,
    );
  }
  const [m, n] = matrix.shape as [number, number];
  const { words: wordShape, scales: scaleShape } = quantisedShapes(kind, [m, n]);
  const from = flatData(toFloat(matrix));
  const block = blockOf(kind, n);
  const perWord = ROWS_PER_WORD[kind];
  const bits = 32 / perWord;
  const words = new Uint32Array(wordShape[0] * n);
  const scales = new Float32Array(scaleShape[0] * scaleShape[1]);
  for (let i = 0; i < m; i++) {
    const shift = bits * (i % perWord);
    const row = Math.floor(i / perWord) * n;
    for (let start = 0; start < n; start += block) {
      let greatest = 0;
      for (let j = start; j < start + block; j++) {
        greatest = Math.max(greatest, Math.abs(from[i * n + j] as number));
      }
      scales[i * scaleShape[1] + start / block] = greatest;
      for (let j = start; j < start + block; j++) {
        const x = greatest === 0 ? 0 : (from[i * n + j] as number) / greatest;
        const code = kind === 'nf4' ? nearestLevel(x) : INT8_ZERO + Math.round(x * INT8_GREATEST);
        words[row + j] = ((words[row + j] as number) | (code << shift)) >>> 0;
      }
    }
  }
  const arrays = { words: hostArray(words, wordShape), scales: hostArray(scales, scaleShape) };
  return kind === 'nf4'
    ? { nf4: arrays.words, scales: arrays.scales }
    : { int8: arrays.words, scales: arrays.scales };
}

/** Each row of words as often as rows share it, and which of them is which: [words, rows, n]. */
function fields(words: Value, kind: Quantisation) {
  const [count, n] = words.shape as readonly [number, number];
  const shape = [count, ROWS_PER_WORD[kind], n];
  return { words: broadcastTo(reshape(words, [count, 1, n]), shape), row: iota(shape, 1) };
}

/** The matrix of a quantised one inside a program, [m, n]. */
function matrixOf(given: QuantisedMatrix): Value {
  const { scales } = given;
  const [m, blocks] = scales.shape as readonly [number, number];
  const kind = 'nf4' in given ? 'nf4' : 'int8';
  const packed = 'nf4' in given ? given.nf4 : given.int8;
  const n = packed.shape[1] as number;
  const { words, row } = fields(packed, kind);
  const wide = reshape(broadcastTo(reshape(scales, [m, blocks, 1]), [m, blocks, n / blocks]), [
    m,
    n,
  ]);
  if (kind === 'nf4') {
    const levels = constant(hostArray(Float32Array.from(NF4_LEVELS), [16]));
    return mul(reshape(gather(levels, nibble(words, row)), [m, n]), wide);
  }
  const low = mul(row, 2);
  const code = add(nibble(words, low), mul(nibble(words, add(low, 1)), 16));
  const unit = mul(convert(add(code, -INT8_ZERO), 'float'), 1 / INT8_GREATEST);
  return mul(reshape(unit, [m, n]), wide);
}

const isQuantised = (node: object): node is QuantisedMatrix<never> =>
  'scales' in node && ('nf4' in node || 'int8' in node);

/** A tree with a value [m, n] in the place of every quantised matrix; everything else stays. */
export function dequantised(tree: unknown): unknown {
  if (typeof tree !== 'object' || tree === null || isValue(tree) || isHostArray(tree)) return tree;
  if (Array.isArray(tree)) return tree.map(dequantised);
  if (isQuantised(tree)) return matrixOf(tree);
  if (Object.getPrototypeOf(tree) !== Object.prototype) return tree;
  return Object.fromEntries(Object.entries(tree).map(([name, node]) => [name, dequantised(node)]));
}

/**
 * Weights whose matrices of linear layers are quantised. Embeddings, norms, biases and matrices that fill no
 * words (`canQuantise`) stay as they are.
 *
 *     const frozen = quantiseTree('nf4')(weights);
 *     const loss = (adapters, { base, rows }, context) =>
 *       adapt(dequantised(base), method)(taskLoss)(adapters, rows, context);
 */
export const quantiseTree =
  (kind: Quantisation) =>
  (weights: unknown): unknown =>
    treeMap(
      (x: HostArray, path) =>
        canQuantise(kind, x.shape) && !isTable(path) ? quantise(x, kind) : x,
      weights,
    );
