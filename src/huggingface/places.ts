/**
 * Where each array of a model stands in a Hugging Face checkpoint: our path, the tensor's name, and how
 * the tensor holds it where it is not simply the same array. A table of such places is all that reading
 * and writing need, and by which PEFT's adapters find their modules.
 */
import { flatData, type HostArray, hostArray, type Shape, sizeOf } from '../autodiff/index.js';

/** How a tensor holds an array of ours. */
export interface Form {
  readonly name: string;
  /** The tensor's shape, for an array of ours. */
  readonly storedShape: (ours: Shape) => Shape;
  readonly toOurs: (stored: HostArray, ours: Shape) => HostArray;
  readonly toStored: (ours: HostArray) => HostArray;
}

/** One of several arrays of ours that lie side by side in one tensor. */
export interface Part {
  /** Which one, counted from 0. */
  readonly index: number;
  readonly count: number;
  /** Along which axis of the tensor; all parts have one size. */
  readonly axis: number;
}

export interface Place {
  /** In our tree, such as `blocks.0.attention.query.weight`. */
  readonly path: string;
  /** Of our array. */
  readonly shape: Shape;
  /** Of the tensor, such as `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  readonly form?: Form;
  readonly part?: Part;
}

const transpose2 = (x: HostArray): HostArray => {
  const [m, n] = x.shape as [number, number];
  const from = flatData(x);
  const to = from.slice();
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) to[j * m + i] = from[i * n + j] as number;
  return hostArray(to, [n, m]);
};

/** [inputs, outputs], as GPT-2's `Conv1D` keeps its matrices. */
export const TRANSPOSED: Form = {
  name: 'transposed',
  storedShape: ([m, n]) => [n as number, m as number],
  toOurs: transpose2,
  toStored: transpose2,
};

/** The same numbers in the same order under another shape, such as a convolution's kernel [d, c, p, p]. */
export const reshaped = (storedShape: Shape): Form => ({
  name: 'reshaped',
  storedShape: () => storedShape,
  toOurs: (stored, ours) => hostArray(flatData(stored), ours),
  toStored: (ours) => hostArray(flatData(ours), storedShape),
});

/** The shape of the whole tensor that a place's array is (part of). */
export function storedShapeOf({ shape, form, part }: Place): Shape {
  const own = form === undefined ? shape : form.storedShape(shape);
  return part === undefined
    ? own
    : own.map((size, axis) => (axis === part.axis ? size * part.count : size));
}

/** Lengths before, along and after an axis. */
const around = (shape: Shape, axis: number) =>
  [sizeOf(shape.slice(0, axis)), shape[axis] as number, sizeOf(shape.slice(axis + 1))] as const;

/** Part number `index` of a tensor. */
function cutOut(stored: HostArray, { index, count, axis }: Part): HostArray {
  const [before, along, after] = around(stored.shape, axis);
  const run = (along / count) * after;
  const from = flatData(stored);
  const to = from.slice(0, before * run);
  for (let i = 0; i < before; i++) {
    const start = i * along * after + index * run;
    to.set(from.subarray(start, start + run) as never, i * run);
  }
  return hostArray(
    to,
    stored.shape.map((size, i) => (i === axis ? size / count : size)),
  );
}

/** The tensor whose parts these are, in their order. */
function joined(parts: readonly HostArray[], axis: number): HostArray {
  const [first] = parts as readonly [HostArray];
  const [before, along, after] = around(first.shape, axis);
  const run = along * after;
  const Class = flatData(first).constructor as new (length: number) => Float32Array;
  const to = new Class(parts.length * first.size);
  for (const [index, part] of parts.entries()) {
    const from = flatData(part) as Float32Array;
    for (let i = 0; i < before; i++) {
      to.set(from.subarray(i * run, (i + 1) * run), (i * parts.length + index) * run);
    }
  }
  return hostArray(
    to,
    first.shape.map((size, i) => (i === axis ? size * parts.length : size)),
  );
}

/** Our array out of the tensor that holds it. */
export function oursOf(stored: HostArray, { shape, form, part }: Place): HostArray {
  const own = part === undefined ? stored : cutOut(stored, part);
  return form === undefined ? own : form.toOurs(own, shape);
}

/** The tensor that holds the arrays of ours that stand in it, given in the order of their parts. */
export function storedOf(arrays: readonly (readonly [Place, HostArray])[]): HostArray {
  const own = [...arrays]
    .sort(([a], [b]) => (a.part?.index ?? 0) - (b.part?.index ?? 0))
    .map(([{ form }, array]) => (form === undefined ? array : form.toStored(array)));
  const axis = arrays[0]?.[0].part?.axis;
  return axis === undefined ? (own[0] as HostArray) : joined(own, axis);
}

/** Options for the places of one linear layer. */
export interface LinearOptions {
  /** On by default. */
  readonly bias?: boolean;
  readonly form?: Form;
  readonly part?: Part;
}

/** The places of a linear layer [outputs, inputs]: `path.weight`, `path.bias`. */
export const linearPlaces = (
  path: string,
  name: string,
  [outputs, inputs]: readonly [number, number],
  { bias = true, form, part }: LinearOptions = {},
): readonly Place[] => [
  {
    path: `${path}.weight`,
    name: `${name}.weight`,
    shape: [outputs, inputs],
    ...(form && { form }),
    ...(part && { part }),
  },
  ...(bias
    ? [
        {
          path: `${path}.bias`,
          name: `${name}.bias`,
          shape: [outputs],
          ...(part && { part: { ...part, axis: 0 } }),
        },
      ]
    : []),
];

/** The places of a norm over `width` numbers: its scale is called weight there. */
export const normPlaces = (
  path: string,
  name: string,
  width: number,
  { bias = false }: { readonly bias?: boolean } = {},
): readonly Place[] => [
  { path: `${path}.scale`, name: `${name}.weight`, shape: [width] },
  ...(bias ? [{ path: `${path}.bias`, name: `${name}.bias`, shape: [width] }] : []),
];

/** The place of a table of embeddings. */
export const tablePlace = (path: string, name: string, rows: number, width: number): Place => ({
  path: `${path}.weight`,
  name: `${name}.weight`,
  shape: [rows, width],
});
