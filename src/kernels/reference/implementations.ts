/**
 * The judge: every primitive as plain loops over ndarray views in float64. Slow and, one hopes,
 * obviously right; the other backends are held to it.
 */
import {
  type Aval,
  bitsAt,
  dtypeOfHost,
  elementwisePrimitives,
  flatData,
  freeAxes,
  type HostArray,
  halfBits,
  hostArray,
  isHalf,
  normalStream,
  numberOfHalf,
  type Params,
  PURPOSE,
  range,
  sizeOf,
  threefry2x32,
} from '../../autodiff/index.js';
import { empty, pickAxes, positions, view } from './views.js';

/** Computes one equation's output. Views may share memory with inputs; nothing is ever written. */
type Implementation = (inputs: readonly HostArray[], params: Params, output: Aval) => HostArray;

/** Applies a function of numbers element by element. */
const elementwise =
  (f: (...xs: number[]) => number): Implementation =>
  (inputs, _, output) => {
    const out = empty(output);
    const at = inputs.map(positions);
    const xs = new Array<number>(inputs.length);
    for (let i = 0; i < out.data.length; i++) {
      for (let k = 0; k < xs.length; k++) {
        xs[k] = (inputs[k] as HostArray).data[(at[k] as Int32Array)[i] as number] as number;
      }
      out.data[i] = f(...xs);
    }
    return out;
  };

/** Half-precision bits become numbers and numbers bits; typed arrays do the rest by themselves. */
const convert: Implementation = (inputs, params, output) => {
  const from = dtypeOfHost(inputs[0] as HostArray);
  const to = output.dtype;
  const f = (x: number): number =>
    from === to ? x : isHalf(from) ? numberOfHalf(x, from) : isHalf(to) ? halfBits(x, to) : x;
  return elementwise(f)(inputs, params, output);
};

/** Folds the elements along `axes`, from `start`. */
const reduction =
  (start: number, step: (sum: number, x: number) => number): Implementation =>
  ([x], { axes }, output) => {
    const source = x as HostArray;
    const out = empty(output);
    const kept = range(source.shape.length).filter((a) => !axes.includes(a));
    const outer = positions(pickAxes(source, kept));
    const inner = positions(pickAxes(source, axes, 0));
    outer.forEach((base, i) => {
      let sum = start;
      for (const offset of inner) sum = step(sum, source.data[base + offset] as number);
      out.data[i] = sum;
    });
    return out;
  };

const dot: Implementation = ([l, r], { contract, batch }, output) => {
  const [lhs, rhs] = [l as HostArray, r as HostArray];
  const out = empty(output);
  const lhsFree = positions(pickAxes(lhs, freeAxes(lhs.shape.length, contract[0], batch[0]), 0));
  const rhsFree = positions(pickAxes(rhs, freeAxes(rhs.shape.length, contract[1], batch[1]), 0));
  const lhsSum = positions(pickAxes(lhs, contract[0], 0));
  const rhsSum = positions(pickAxes(rhs, contract[1], 0));
  const lhsBatch = positions(pickAxes(lhs, batch[0]));
  const rhsBatch = positions(pickAxes(rhs, batch[1]));
  let next = 0;
  for (let b = 0; b < lhsBatch.length; b++) {
    for (const i of lhsFree) {
      for (const j of rhsFree) {
        const [left, right] = [(lhsBatch[b] as number) + i, (rhsBatch[b] as number) + j];
        let sum = 0;
        for (let k = 0; k < lhsSum.length; k++) {
          sum +=
            (lhs.data[left + (lhsSum[k] as number)] as number) *
            (rhs.data[right + (rhsSum[k] as number)] as number);
        }
        out.data[next++] = sum;
      }
    }
  }
  return out;
};

/** Row numbers and, for each, where its elements start; outsiders are skipped. */
function forEachRow(
  indices: HostArray,
  rows: number,
  visit: (row: number, position: number) => void,
) {
  flatData(indices).forEach((row, position) => {
    if (row >= 0 && row < rows) visit(row, position);
  });
}

const gather: Implementation = ([x, indices], _, output) => {
  const out = empty(output);
  const source = flatData(x as HostArray);
  const [rows, ...rest] = (x as HostArray).shape as [number, ...number[]];
  const width = sizeOf(rest);
  forEachRow(indices as HostArray, rows, (row, position) => {
    out.data.set(source.subarray(row * width, (row + 1) * width) as never, position * width);
  });
  return out;
};

const scatterAdd: Implementation = ([indices, updates], { rows }, output) => {
  const out = empty(output);
  const source = flatData(updates as HostArray);
  const width = sizeOf(output.shape.slice(1));
  forEachRow(indices as HostArray, rows, (row, position) => {
    for (let j = 0; j < width; j++) {
      out.data[row * width + j] =
        (out.data[row * width + j] as number) + (source[position * width + j] as number);
    }
  });
  return out;
};

const argmax: Implementation = ([x], { axis }, output) => {
  const source = x as HostArray;
  const out = empty(output);
  const outer = positions(
    pickAxes(
      source,
      range(source.shape.length).filter((a) => a !== axis),
    ),
  );
  outer.forEach((base, i) => {
    let best = 0;
    const at = (k: number) => source.data[base + k * (source.stride[axis] as number)] as number;
    for (let k = 1; k < (source.shape[axis] as number); k++) if (at(k) > at(best)) best = k;
    out.data[i] = best;
  });
  return out;
};

const broadcast: Implementation = ([x], { shape, axes }) => {
  const stride = new Array<number>(shape.length).fill(0);
  axes.forEach((axis: number, i: number) => {
    stride[axis] = (x as HostArray).stride[i] as number;
  });
  return view(x as HostArray, shape, stride);
};

const slice: Implementation = ([x], { start, stride }, output) => {
  const source = x as HostArray;
  const offset =
    source.offset +
    start.reduce((sum: number, s: number, i: number) => sum + s * (source.stride[i] as number), 0);
  const steps = stride.map((s: number, i: number) => s * (source.stride[i] as number));
  return view(source, output.shape, steps, offset);
};

const pad: Implementation = ([x], { low, interior }, output) => {
  const source = x as HostArray;
  const out = empty(output);
  if (source.size === 0) return out;
  const inside = view(
    out,
    source.shape,
    source.shape.map((_, i) => (out.stride[i] as number) * (interior[i] + 1)),
    low.reduce((sum: number, n: number, i: number) => sum + n * (out.stride[i] as number), 0),
  );
  const from = positions(source);
  positions(inside).forEach((to, i) => {
    out.data[to] = source.data[from[i] as number] as number;
  });
  return out;
};

const concat: Implementation = (inputs, { axis }, output) => {
  const out = empty(output);
  let start = 0;
  for (const x of inputs) {
    const from = positions(x);
    const part = view(out, x.shape, out.stride, start * (out.stride[axis] as number));
    positions(part).forEach((to, i) => {
      out.data[to] = x.data[from[i] as number] as number;
    });
    start += x.shape[axis] as number;
  }
  return out;
};

const iota: Implementation = (_, { shape, axis }, output) => {
  const out = empty(output);
  const block = sizeOf(shape.slice(axis + 1));
  for (let i = 0; i < out.data.length; i++) out.data[i] = Math.floor(i / block) % shape[axis];
  return out;
};

const randomBits: Implementation = ([keys], { shape }, output) => {
  const out = empty(output);
  const words = flatData(keys as HostArray);
  const count = sizeOf(shape);
  for (let i = 0; i < out.data.length; i++) {
    const k = 2 * Math.floor(i / count);
    out.data[i] = bitsAt(words[k] as number, words[k + 1] as number, i % count);
  }
  return out;
};

const randomNormal: Implementation = ([keys], { shape }, output) => {
  const out = empty(output);
  const words = flatData(keys as HostArray);
  const count = sizeOf(shape);
  for (let at = 0, k = 0; at < out.data.length; at += count, k += 2) {
    const numbers = normalStream(words[k] as number, words[k + 1] as number, count);
    numbers.forEach((x, i) => {
      out.data[at + i] = x;
    });
  }
  return out;
};

const deriveKey: Implementation = ([keys, data], { purpose }, output) => {
  const out = empty(output);
  const words = flatData(keys as HostArray);
  flatData(data as HostArray).forEach((number, i) => {
    const counter = PURPOSE[purpose as keyof typeof PURPOSE];
    const derived = threefry2x32(
      words[2 * i] as number,
      words[2 * i + 1] as number,
      counter,
      number,
    );
    out.data.set(derived, 2 * i);
  });
  return out;
};

/** One implementation per primitive; `checkpoint` is inlined before. */
export const implementations: Readonly<Record<string, Implementation>> = {
  ...Object.fromEntries(
    elementwisePrimitives.map((p) => [
      p.name,
      elementwise(p.scalar as (...xs: number[]) => number),
    ]),
  ),
  convert,
  constant: (_, { value }) => value,
  iota,
  randomBits,
  randomNormal,
  deriveKey,
  broadcast,
  reshape: ([x], { shape }) => hostArray(flatData(x as HostArray), shape),
  transpose: ([x], { permutation }) => pickAxes(x as HostArray, permutation),
  slice,
  pad,
  concat,
  reduceSum: reduction(0, (sum, x) => sum + x),
  reduceMax: reduction(Number.NEGATIVE_INFINITY, (greatest, x) =>
    x > greatest || Number.isNaN(x) ? x : greatest,
  ),
  argmax,
  dot,
  gather,
  scatterAdd,
};
