/**
 * The buffers of a kernel as WGSL declarations, and how their elements are read and written.
 *
 * An array longer than one binding may be is held in several buffers ("pieces"), each a binding of its
 * own; functions then pick the piece of an index.
 */
import { type Aval, type DType, isHalf, range, type Var } from '../../../autodiff/index.js';
import { bytesOf } from '../../plan/memory.js';
import { type ValueType, valueType } from './types.js';
import type { Writer } from './writer.js';

/** How arrays are cut into pieces: the most bytes of one binding. */
export interface ArrayLayout {
  readonly pieceBytes: number;
}

/** Bytes of an array in memory, whole words. */
export const arrayBytes = (like: Aval): number => Math.ceil(bytesOf(like) / 4) * 4;

/** Bytes of each piece of an array. */
export function piecesOf(bytes: number, { pieceBytes }: ArrayLayout): readonly number[] {
  const count = Math.ceil(bytes / pieceBytes);
  return range(count).map((i) => Math.min(pieceBytes, bytes - i * pieceBytes));
}

/** What is bound to a kernel: arrays that it fills, arrays that it reads, the table of normals. */
export interface KernelBindings {
  /** Declarations, in order of binding: pieces of the outputs, of what is read, then the table. */
  readonly declarations: () => readonly string[];
  readonly element: (writer: Writer, buffer: Var, index: string) => string;
  /**
   * Four neighbouring elements from an index that is a multiple of 4, as text of each; `undefined` where
   * the array is not held in one buffer, or its elements are read one by one elsewhere in the kernel.
   */
  readonly fourElements: (
    writer: Writer,
    buffer: Var,
    quarter: string,
  ) => readonly string[] | undefined;
  /** A statement that stores a value at an index of an output. */
  readonly store: (index: string, value: string, output?: number) => string;
  readonly normal: (index: string) => string;
  readonly usesNormalTable: () => boolean;
  /** How many bindings are written, and how many are only read. */
  readonly written: number;
  readonly read: () => number;
}

/** In memory a bool is a word, and two half-precision numbers share one. */
const stored = (dtype: DType): ValueType =>
  dtype === 'bool' || isHalf(dtype) ? 'u32' : valueType(dtype);

export function kernelBindings(
  outputs: readonly Var[],
  reads: readonly Var[],
  layout: ArrayLayout,
): KernelBindings {
  const pieces = (v: Var) => piecesOf(arrayBytes(v), layout).length;
  const words = layout.pieceBytes / 4;
  const names = new Map(reads.map((v, i) => [v.id, `b${i}`]));
  const results = outputs.map((_, i) => (outputs.length === 1 ? 'result' : `result${i}`));
  let usesTable = false;
  // Buffers that are declared as vectors, and those that are not.
  const wide = new Set<number>();
  const narrow = new Set<number>();
  const accessors = new Map<string, string>();

  const ofWord = (
    writer: Writer,
    dtype: DType,
    word: (index: string) => string,
    index: string,
  ): string => {
    if (dtype === 'bool') return `(${word(index)} != 0u)`;
    if (!isHalf(dtype)) return word(index);
    const at = writer.local(index);
    const widen = writer.call(dtype === 'bfloat16' ? 'widenBfloat16' : 'widenFloat16');
    return `${widen}(${word(`${at} >> 1u`)}, ${at})`;
  };

  const element = (writer: Writer, v: Var, index: string): string => {
    const name = names.get(v.id) as string;
    const count = pieces(v);
    if (count === 1) {
      if (wide.has(v.id)) {
        const at = writer.local(index);
        return ofWord(writer, v.dtype, () => `${name}[${at} >> 2u][${at} & 3]`, index);
      }
      narrow.add(v.id);
      return ofWord(writer, v.dtype, (i) => `${name}[${i}]`, index);
    }
    accessors.set(
      name,
      [
        `fn ${name}At(i: i32) -> ${stored(v.dtype)} {`,
        ...range(count - 1).map(
          (p) => `  if (i < ${(p + 1) * words}) { return ${name}_${p}[i - ${p * words}]; }`,
        ),
        `  return ${name}_${count - 1}[i - ${(count - 1) * words}];`,
        '}',
      ].join('\n'),
    );
    return ofWord(writer, v.dtype, (i) => `${name}At(${i})`, index);
  };

  const fourElements = (writer: Writer, v: Var, quarter: string) => {
    const name = names.get(v.id) as string;
    if (pieces(v) !== 1) return undefined;
    if (isHalf(v.dtype)) {
      // Two words hold four numbers.
      const widen = writer.call(v.dtype === 'bfloat16' ? 'widenBfloat16' : 'widenFloat16');
      const first = writer.local(`(${quarter}) * 2`);
      narrow.add(v.id);
      return range(4).map((i) => `${widen}(${name}[${first} + ${i >> 1}], ${i & 1})`);
    }
    if (v.dtype !== 'float' || narrow.has(v.id)) return undefined;
    wide.add(v.id);
    const four = writer.local(`${name}[${quarter}]`);
    return range(4).map((i) => `${four}[${i}]`);
  };

  const store = (index: string, value: string, output = 0): string => {
    const v = outputs[output] as Var;
    const name = results[output] as string;
    const text = v.dtype === 'bool' ? `u32(${value})` : value;
    const count = pieces(v);
    if (count === 1) return `${name}[${index}] = ${text};`;
    return range(count)
      .map((p) => {
        const test = p === count - 1 ? '' : `if (${index} < ${(p + 1) * words}) `;
        return `${test}{ ${name}_${p}[${index} - ${p * words}] = ${text}; }`;
      })
      .join(' else ');
  };

  const declare = (v: Var, name: string, access: string): readonly string[] => {
    const count = pieces(v);
    const element = access === 'read' && wide.has(v.id) ? 'vec4f' : stored(v.dtype);
    return range(count).map(
      (p) => `var<storage, ${access}> ${count === 1 ? name : `${name}_${p}`}: array<${element}>;`,
    );
  };
  const count = (vs: readonly Var[]) => vs.reduce((n, v) => n + pieces(v), 0);
  return {
    declarations: () => [
      ...[
        ...outputs.flatMap((v, i) => declare(v, results[i] as string, 'read_write')),
        ...reads.flatMap((v) => declare(v, names.get(v.id) as string, 'read')),
        ...(usesTable ? ['var<storage, read> normals: array<f32>;'] : []),
      ].map((text, i) => `@group(0) @binding(${i}) ${text}`),
      ...accessors.values(),
    ],
    element,
    fourElements,
    store,
    normal: (index) => {
      usesTable = true;
      return `normals[${index}]`;
    },
    usesNormalTable: () => usesTable,
    written: count(outputs),
    read: () => count(reads) + (usesTable ? 1 : 0),
  };
}
