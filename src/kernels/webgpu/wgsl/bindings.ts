/**
 * The buffers of a kernel as WGSL declarations, and how their elements are read and written.
 *
 * An array longer than one binding may be is held in several buffers ("pieces"), each a binding of its
 * own; functions then pick the piece of an index.
 */
import { type Aval, type DType, isHalf, range, sizeOf, type Var } from '../../../autodiff/index.js';
import { type ValueType, valueType } from './types.js';
import type { Writer } from './writer.js';

/** How arrays are cut into pieces: the most bytes of one binding. */
export interface ArrayLayout {
  readonly pieceBytes: number;
}

/** Bytes of an element in memory. */
export const bytesOf = (dtype: DType): number => (isHalf(dtype) ? 2 : 4);

/** Bytes of an array in memory; half-precision numbers come in pairs. */
export const arrayBytes = ({ shape, dtype }: Aval): number =>
  Math.ceil((sizeOf(shape) * bytesOf(dtype)) / 4) * 4;

/** Bytes of each piece of an array. */
export function piecesOf(bytes: number, { pieceBytes }: ArrayLayout): readonly number[] {
  const count = Math.ceil(bytes / pieceBytes);
  return range(count).map((i) => Math.min(pieceBytes, bytes - i * pieceBytes));
}

export interface KernelBindings {
  /** Declarations, in order of binding: pieces of the output, of what is read, then the table. */
  readonly declarations: () => readonly string[];
  readonly element: (buffer: Var, index: string) => string;
  /** A statement that stores a value at an index. */
  readonly store: (index: string, value: string) => string;
  readonly normal: (index: string) => string;
  readonly usesNormalTable: () => boolean;
  /** How many bindings are written. */
  readonly written: number;
}

/** In memory a bool is a word, and two half-precision numbers share one. */
const stored = (dtype: DType): ValueType =>
  dtype === 'bool' || isHalf(dtype) ? 'u32' : valueType(dtype);

/** @param inPlace a buffer that is read and whose memory the output takes over, if any. */
export function kernelBindings(
  writer: Writer,
  output: Var,
  reads: readonly Var[],
  layout: ArrayLayout,
  inPlace?: Var,
): KernelBindings {
  const pieces = (v: Var) => piecesOf(arrayBytes(v), layout).length;
  const apart = reads.filter((v) => v.id !== inPlace?.id);
  const names = new Map(apart.map((v, i) => [v.id, `b${i}`]));
  if (inPlace !== undefined) names.set(inPlace.id, 'result');
  let usesTable = false;
  const accessors = new Map<string, string>();

  const ofWord = (dtype: DType, word: (index: string) => string, index: string): string => {
    if (dtype === 'bool') return `(${word(index)} != 0u)`;
    if (!isHalf(dtype)) return word(index);
    const at = writer.local(index);
    const widen = writer.call(dtype === 'bfloat16' ? 'widenBfloat16' : 'widenFloat16');
    return `${widen}(${word(`${at} >> 1u`)}, ${at})`;
  };

  const element = (v: Var, index: string): string => {
    const name = names.get(v.id) as string;
    const count = pieces(v);
    if (count === 1) return ofWord(v.dtype, (i) => `${name}[${i}]`, index);
    const words = layout.pieceBytes / 4;
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
    return ofWord(v.dtype, (i) => `${name}At(${i})`, index);
  };

  const store = (index: string, value: string): string => {
    const text = output.dtype === 'bool' ? `u32(${value})` : value;
    const count = pieces(output);
    if (count === 1) return `result[${index}] = ${text};`;
    const words = layout.pieceBytes / 4;
    return range(count)
      .map((p) => {
        const test = p === count - 1 ? '' : `if (${index} < ${(p + 1) * words}) `;
        return `${test}{ result_${p}[${index} - ${p * words}] = ${text}; }`;
      })
      .join(' else ');
  };

  const declare = (v: Var, name: string, access: string): readonly string[] => {
    const count = pieces(v);
    return range(count).map(
      (p) =>
        `var<storage, ${access}> ${count === 1 ? name : `${name}_${p}`}: array<${stored(v.dtype)}>;`,
    );
  };
  return {
    declarations: () => [
      ...[
        ...declare(output, 'result', 'read_write'),
        ...apart.flatMap((v) => declare(v, names.get(v.id) as string, 'read')),
        ...(usesTable ? ['var<storage, read> normals: array<f32>;'] : []),
      ].map((text, i) => `@group(0) @binding(${i}) ${text}`),
      ...accessors.values(),
    ],
    element,
    store,
    normal: (index) => {
      usesTable = true;
      return `normals[${index}]`;
    },
    usesNormalTable: () => usesTable,
    written: pieces(output),
  };
}
