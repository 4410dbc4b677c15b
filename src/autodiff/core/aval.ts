/**
 * Abstract values: what is known of an array before it exists, its shape and element type.
 *
 * `float` is whatever the backend computes in (float64 in `reference`, float32 elsewhere); `uint`
 * holds the 32-bit words of keys and random streams; `bool` is what comparisons give.
 *
 * `bfloat16` and `float16` are for storage: 2 bytes an element, moved about as they are, and read and
 * written through `convert` alone. Nothing computes in them, and no derivative flows through them.
 */
export type DType = 'float' | 'int' | 'uint' | 'bool' | HalfPrecision;

/** The 16-bit formats (`halfBits.ts`). */
export type HalfPrecision = 'bfloat16' | 'float16';

export const isHalf = (dtype: DType): dtype is HalfPrecision =>
  dtype === 'bfloat16' || dtype === 'float16';

/** Sizes of the axes, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

export interface Aval {
  readonly shape: Shape;
  readonly dtype: DType;
}

export const aval = (shape: Shape, dtype: DType): Aval => ({ shape, dtype });

/** Number of elements. */
export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis] as number;
  }
  return strides;
}

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

export const showShape = (shape: Shape): string => `[${shape.join(',')}]`;

export const showAval = ({ shape, dtype }: Aval): string => `${dtype}${showShape(shape)}`;

/** An axis counted from the end when negative, as a plain index; `undefined` if out of range. */
export const normaliseAxis = (axis: number, rank: number): number | undefined =>
  Number.isInteger(axis) && axis >= -rank && axis < rank ? (axis + rank) % rank : undefined;

/** The shape that NumPy's rules give two operands, or `undefined` where they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const da = a[i - (rank - a.length)] ?? 1;
    const db = b[i - (rank - b.length)] ?? 1;
    if (da !== db && da !== 1 && db !== 1) return undefined;
    out.push(da === 1 ? db : da);
  }
  return out;
}

/** 0, 1, …, n − 1. */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
