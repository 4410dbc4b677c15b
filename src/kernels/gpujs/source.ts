/**
 * Prints a kernel as gpu.js source. All arrays are flat float32: ints and bools as numbers, a random
 * word as two neighbouring numbers, its 16-bit halves.
 */
import { sizeOf, type Var } from '../../autodiff/index.js';
import { type Expression, type Kernel, parts } from '../plan/expression.js';
import type { LoopVariable } from '../plan/position.js';
import { foldPrinter } from './folds.js';
import { arithmetic, type GpuJsMode, literal, numberSource } from './math.js';
import { positionPrinter } from './positions.js';
import { roundSource } from './rounding.js';
import { threadAxes } from './threads.js';
import { wordPrinter } from './words.js';
import { createWriter, indent } from './writer.js';

/** Floats that a variable takes: a random word is two halves. */
export const floatsOf = ({ shape, dtype }: { shape: readonly number[]; dtype: string }): number =>
  sizeOf(shape) * (dtype === 'uint' ? 2 : 1);

/** What gpu.js needs to build a kernel. */
export interface KernelSource {
  readonly source: string;
  /** gpu.js's order: x first. */
  readonly output: readonly number[];
  readonly usesNormalTable: boolean;
}

/** How often each part of an expression is used. */
function countUses(body: Expression): ReadonlyMap<Expression, number> {
  const uses = new Map<Expression, number>();
  const visit = (e: Expression) => {
    uses.set(e, (uses.get(e) ?? 0) + 1);
    if (uses.get(e) === 1) parts(e).forEach(visit);
  };
  visit(body);
  return uses;
}

export function printKernel(kernel: Kernel, mode: GpuJsMode): KernelSource {
  const writer = createWriter(mode);
  const positions = positionPrinter(writer);
  const { local, remember } = writer;
  const { position, index, clamp, guard, threadNames } = positions;
  const uses = countUses(kernel.body);
  const names = new Map(kernel.reads.map((v, i) => [v.id, `b${i}`]));
  const argument = (buffer: Var): string => names.get(buffer.id) as string;
  let usesNormalTable = false;

  const value = (e: Expression): string => {
    if (e.kind === 'number') return numberSource(e.value, writer);
    if (e.kind === 'load') return `${argument(e.buffer)}[${index(sizeOf(e.buffer.shape), e.at)}]`;
    // In a local it is a float: gpu.js would go on with integer arithmetic.
    if (e.kind === 'position') return remember(e, () => `(${position(e.at)})`);
    if (e.kind === 'fold' || e.kind === 'randomNormal' || (uses.get(e) ?? 0) > 1)
      return remember(e, () => compute(e));
    return compute(e);
  };

  const condition = (e: Expression): string => {
    if (e.kind === 'apply' && (e.name === 'lt' || e.name === 'equal')) {
      const [x, y] = e.operands.map(value);
      return `${x} ${e.name === 'lt' ? '<' : '==='} ${y}`;
    }
    return `${value(e)} > 0.5`;
  };

  const compute = (e: Expression): string => {
    switch (e.kind) {
      case 'apply':
        return applied(e);
      case 'gather': {
        const row = local(value(e.row));
        const inside = `(${row} >= 0 && ${row} < ${e.rows})`;
        const at = `${row} * ${e.width} + ${position(e.at)}`;
        const last = e.rows * e.width - 1;
        return `(${inside} ? ${argument(e.buffer)}[${clamp(last, at)}] : 0.0)`;
      }
      case 'guard':
        return `(${guard(e.conditions)} ? ${value(e.inside)} : ${value(e.outside)})`;
      case 'fold':
        return fold(e);
      case 'randomNormal':
        usesNormalTable = true;
        return normal(e);
      default:
        throw new Error(`gpujs: ${e.kind} is no number`);
    }
  };

  const applied = (e: Extract<Expression, { kind: 'apply' }>): string => {
    const [x, y, z] = e.operands as readonly [Expression, Expression, Expression];
    switch (e.name) {
      case 'lt':
      case 'equal':
        return `(${condition(e)} ? 1.0 : 0.0)`;
      case 'select':
        return `(${condition(x)} ? ${value(y)} : ${value(z)})`;
      case 'convert': {
        const text = value(x);
        if (e.from !== 'float' || e.dtype !== 'int') return text;
        const v = local(text);
        return `(${v} < 0.0 ? Math.ceil(${v}) : Math.floor(${v}))`;
      }
      case 'roundToBfloat16':
        return roundSource(value(x), 'bfloat16', writer);
      case 'roundToFloat16':
        return roundSource(value(x), 'float16', writer);
      case 'nibble': {
        const { high, low } = word(x);
        const at = local(value(y));
        const place = local(`(${at} < 4.0 ? ${at} : ${at} - 4.0)`);
        const half = local(`(${at} < 4.0 ? ${low} : ${high})`);
        const below = `(${place} < 1.0 ? 1.0 : (${place} < 2.0 ? 16.0 : (${place} < 3.0 ? 256.0 : 4096.0)))`;
        const shifted = local(`Math.floor(${half} / ${below})`);
        return `(${shifted} - 16.0 * Math.floor(${shifted} / 16.0))`;
      }
      case 'bitsToUniform': {
        const { high, low } = word(x);
        return `(${high} * 256.0 + Math.floor(${low} / 256.0)) * ${literal(2 ** -24)}`;
      }
      default: {
        const print = arithmetic[e.name];
        if (print === undefined) throw new Error(`gpujs: primitive ${e.name} is not implemented`);
        return print(e.operands.map(value), writer);
      }
    }
  };

  const { word, normal } = wordPrinter({ writer, positions, argument, value, condition });
  const fold = foldPrinter({ writer, positions, value, compute });

  const isWord = kernel.output.dtype === 'uint';
  const half: LoopVariable = { kind: 'loop', name: 'half', size: 2 };
  const axes = isWord ? [...kernel.axes, half] : kernel.axes;
  const output = threadAxes(axes, mode, (name, text) => {
    // gpu.js keeps locals as floats; the thread's own coordinates stay integers.
    if (text.startsWith('this.thread') && !text.includes(' ')) threadNames.set(name, text);
    else writer.line(`const ${name} = ${text};`);
  });
  let result: string;
  if (isWord) {
    const { high, low } = word(kernel.body);
    result = `${threadNames.get('half') ?? 'half'} < 1 ? ${high} : ${low}`;
  } else if (kernel.output.dtype === 'bool') {
    result = `${condition(kernel.body)} ? 1.0 : 0.0`;
  } else {
    result = value(kernel.body);
  }
  const parameters = [
    ...kernel.reads.map((_, i) => `b${i}`),
    ...(usesNormalTable ? ['normalTable'] : []),
  ];
  const source = [
    `function (${parameters.join(', ')}) {`,
    ...indent([...writer.text(), `return ${result};`]),
    '}',
  ].join('\n');
  return { source, output, usesNormalTable };
}
