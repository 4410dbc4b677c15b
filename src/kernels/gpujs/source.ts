/**
 * Prints a kernel as gpu.js source. All arrays are flat float32: ints and bools as numbers, a random
 * word as two neighbouring numbers, its 16-bit halves.
 */
import { range, sizeOf } from '../../autodiff/index.js';
import { type Expression, type Kernel, parts } from '../plan/expression.js';
import {
  type Atom,
  bounds,
  fixed,
  type LoopVariable,
  ofAtom,
  type Position,
  plus,
  positionKey,
  quotient,
  times,
} from '../plan/position.js';
import { arithmetic, type GpuJsMode, isShader, literal, numberSource, type Scope } from './math.js';
import { type Halves, halvesOf, threefrySource } from './threefry.js';

/** What gpu.js needs to build a kernel. */
export interface KernelSource {
  readonly source: string;
  /** gpu.js's order: x first. */
  readonly output: readonly number[];
  readonly usesNormalTable: boolean;
}

/** Sums up to this length are written out. */
const UNROLL = 64;
/** Longer ones are loops over this many terms. */
const CHUNK = 16;

/** Whether each thread's coordinates are worked out from one flat index. */
const isFlat = (mode: GpuJsMode): boolean => mode !== 'webasm';

/** Names of values that have been computed; inner blocks see outer ones. */
interface Block {
  readonly lines: string[];
  readonly names: Map<unknown, string>;
  readonly outer: Block | undefined;
}

export function printKernel(kernel: Kernel, mode: GpuJsMode): KernelSource {
  const isWord = kernel.output.dtype === 'uint';
  const argument = new Map(kernel.reads.map((v, i) => [v.id, `b${i}`]));
  let block: Block = { lines: [], names: new Map(), outer: undefined };
  let count = 0;
  let usesNormalTable = false;

  const lookUpName = (key: unknown): string | undefined => {
    for (let b: Block | undefined = block; b !== undefined; b = b.outer) {
      const name = b.names.get(key);
      if (name !== undefined) return name;
    }
    return undefined;
  };
  const local = (expression: string): string => {
    if (/^[a-z]\w*$/.test(expression)) return expression;
    const name = `v${count++}`;
    block.lines.push(`const ${name} = ${expression};`);
    return name;
  };
  const remember = (key: unknown, make: () => string): string => {
    const known = lookUpName(key);
    if (known !== undefined) return known;
    const name = local(make());
    block.names.set(key, name);
    return name;
  };
  // Shading languages fold constants and have no ∞, so it is made while the kernel runs.
  const specials = new Map<string, string>();
  const special = (name: string, inShaders: string, elsewhere: string): string => {
    if (!isShader(mode)) return elsewhere;
    specials.set(name, inShaders);
    return name;
  };
  const scope: Scope = {
    local,
    mode,
    infinity: () => special('infinity', 'Math.sqrt(this.thread.x + 4.0) * 3.0e38', 'Infinity'),
    nan: () => special('nan', 'Math.sqrt(-1.0 - this.thread.x)', '(Infinity - Infinity)'),
  };

  // ------------------------------------------------------------ positions
  /** What a loop variable is at this point: a name, and how far ahead of it an unrolled term is. */
  const variables = new Map<string, { text: LoopVariable | undefined; ahead: number }>();

  const threadNames = new Map<string, string>();
  const atomText = (atom: Atom): string => {
    if (atom.kind === 'loop') return threadNames.get(atom.name) ?? atom.name;
    const of = resolve(atom.of);
    const key = `${atom.kind}${atom.by}:${positionKey(of)}`;
    return remember(key, () => {
      const p = local(position(of));
      // Exact for all p below 2²⁴ in every mode, unlike ⌊p / by⌋.
      return atom.kind === 'remainder'
        ? `${p} % ${atom.by}`
        : `Math.floor((${p} - ${p} % ${atom.by}) / ${literal(atom.by)} + 0.5)`;
    });
  };
  /** The position with unrolled loop variables replaced. */
  const resolve = ({ constant, terms }: Position): Position =>
    terms.reduce<Position>((sum, { atom, coefficient }) => {
      const variable = atom.kind === 'loop' ? variables.get(atom.name) : undefined;
      if (variable === undefined) return plus(sum, times(ofAtom(atom), coefficient));
      const moved = plus(sum, fixed(coefficient * variable.ahead));
      return variable.text === undefined
        ? moved
        : plus(moved, times(ofAtom(variable.text), coefficient));
    }, fixed(constant));
  const position = (given: Position): string => {
    const { constant, terms } = resolve(given);
    const texts = terms.map(({ atom, coefficient }) =>
      coefficient === 1 ? atomText(atom) : `${atomText(atom)} * ${coefficient}`,
    );
    if (constant !== 0 || texts.length === 0) texts.push(String(constant));
    return texts.join(' + ').replaceAll('+ -', '- ');
  };
  /** An index brought into 0 … last; GLSL has no `min` of mixed types, so there in floats. */
  const within0 = (last: number, text: string): string =>
    mode === 'webgl2'
      ? asFloat(`Math.max(0.0, Math.min(${literal(last)}, ${asFloat(text)}))`)
      : `Math.max(0, Math.min(${last}, ${text}))`;
  /** A number that may be an integer, as a local, which is a float. */
  const asFloat = (text: string): string => {
    const name = `v${count++}`;
    block.lines.push(`const ${name} = ${text};`);
    return name;
  };
  /** A position as an index of an array, kept inside it where a guard's other side may leave it. */
  const index = (size: number, at: Position): string => {
    const [low, high] = bounds(resolve(at));
    const text = position(at);
    return low < 0 || high >= size ? within0(size - 1, text) : text;
  };

  // ------------------------------------------------------------ values
  const uses = new Map<Expression, number>();
  const countUses = (e: Expression) => {
    uses.set(e, (uses.get(e) ?? 0) + 1);
    if (uses.get(e) === 1) parts(e).forEach(countUses);
  };
  countUses(kernel.body);

  const value = (e: Expression): string => {
    if (e.kind === 'number') return numberSource(e.value, scope);
    if (e.kind === 'load')
      return `${argument.get(e.buffer.id)}[${index(sizeOf(e.buffer.shape), e.at)}]`;
    // In a local it is a float: gpu.js would go on with integer arithmetic.
    if (e.kind === 'position') return remember(e, () => `(${position(e.at)})`);
    if (e.kind === 'fold' || (uses.get(e) ?? 0) > 1) return remember(e, () => compute(e));
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
        return `(${inside} ? ${argument.get(e.buffer.id)}[${within0(last, at)}] : 0.0)`;
      }
      case 'guard':
        return `(${guardText(e.conditions)} ? ${value(e.inside)} : ${value(e.outside)})`;
      case 'fold':
        return fold(e);
      default:
        throw new Error(`gpujs: ${e.kind} is no number`);
    }
  };

  const guardText = (conditions: Extract<Expression, { kind: 'guard' }>['conditions']): string =>
    conditions
      .flatMap(({ at, low, high, step }) => {
        const [least, greatest] = bounds(resolve(at));
        const text = position(at);
        return [
          ...(least < low ? [`${text} >= ${low}`] : []),
          ...(greatest >= high ? [`${text} < ${high}`] : []),
          ...(step > 1 ? [`(${text} - ${low}) % ${step} === 0`] : []),
        ];
      })
      .join(' && ') || '1 > 0';

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
      case 'bitsToUniform': {
        const { high, low } = word(x);
        return `(${high} * 256.0 + Math.floor(${low} / 256.0)) * ${literal(2 ** -24)}`;
      }
      case 'bitsToNormal': {
        const { high, low } = word(x);
        usesNormalTable = true;
        return `(normalTable[${high}] + normalTable[${low}])`;
      }
      default: {
        const print = arithmetic[e.name];
        if (print === undefined) throw new Error(`gpujs: primitive ${e.name} is not implemented`);
        return print(e.operands.map(value), scope);
      }
    }
  };

  // ------------------------------------------------------------ random words
  const word = (e: Expression): Halves => {
    const name = (half: string) => lookUpName(`${half}:${wordKey(e)}`);
    const [knownHigh, knownLow] = [name('high'), name('low')];
    if (knownHigh !== undefined && knownLow !== undefined)
      return { high: knownHigh, low: knownLow };
    const { high, low } = wordSource(e);
    const halves = { high: local(high), low: local(low) };
    block.names.set(`high:${wordKey(e)}`, halves.high);
    block.names.set(`low:${wordKey(e)}`, halves.low);
    return halves;
  };
  const wordKeys = new Map<Expression, number>();
  const wordKey = (e: Expression): number => {
    const known = wordKeys.get(e) ?? wordKeys.size;
    wordKeys.set(e, known);
    return known;
  };
  const chosen = (test: string, x: Halves, y: Halves): Halves => ({
    high: `(${test} ? ${x.high} : ${y.high})`,
    low: `(${test} ? ${x.low} : ${y.low})`,
  });
  const wordSource = (e: Expression): Halves => {
    switch (e.kind) {
      case 'number':
        return halvesOf(e.value);
      case 'load': {
        const [name, size] = [argument.get(e.buffer.id), 2 * sizeOf(e.buffer.shape)];
        const [first, second] = [times(e.at, 2), plus(times(e.at, 2), fixed(1))];
        return { high: `${name}[${index(size, first)}]`, low: `${name}[${index(size, second)}]` };
      }
      case 'guard':
        return chosen(guardText(e.conditions), word(e.inside), word(e.outside));
      case 'apply': {
        const [x, y, z] = e.operands as readonly [Expression, Expression, Expression];
        return e.name === 'select' ? chosen(condition(x), word(y), word(z)) : word(x);
      }
      case 'randomWord': {
        const block2 = local(position(quotient(e.at, 2)));
        const counter = [halvesOf(0), split(block2)] as const;
        const [first, second] = threefrySource([word(e.key[0]), word(e.key[1])], counter, local);
        const even = local(`(${position(e.at)}) % 2`);
        return chosen(`${even} < 1`, first, second);
      }
      case 'derivedWord': {
        const counter = [halvesOf(e.purpose), split(local(value(e.data)))] as const;
        const [first, second] = threefrySource([word(e.key[0]), word(e.key[1])], counter, local);
        return chosen(`${position(e.word)} < 1`, first, second);
      }
      default:
        throw new Error(`gpujs: ${e.kind} is no random word`);
    }
  };
  /** The halves of a number within ±2²⁴, as a 32-bit word. */
  const split = (text: string): Halves => {
    const high = local(`Math.floor(${text} / 65536.0)`);
    const low = local(`${text} - ${high} * 65536.0`);
    return { high: local(`${high} < 0.0 ? ${high} + 65536.0 : ${high}`), low };
  };

  // ------------------------------------------------------------ loops
  const indent = (lines: readonly string[]) => lines.map((line) => `  ${line}`);
  /** Prints a block of its own and gives its lines. */
  const within = (print: () => void): string[] => {
    const outer = block;
    block = { lines: [], names: new Map(), outer };
    print();
    const { lines } = block;
    block = outer;
    return lines;
  };

  const fold = ({ fold: kind, loops, body }: Extract<Expression, { kind: 'fold' }>): string => {
    const total = `s${count++}`;
    const where = `w${count++}`;
    const start = kind === 'sum' ? '0.0' : numberSource(Number.NEGATIVE_INFINITY, scope);
    block.lines.push(`let ${total} = ${start};`);
    if (kind === 'argmax') block.lines.push(`let ${where} = 0.0;`);
    const step = () => {
      const text = value(body);
      if (kind === 'sum') block.lines.push(`${total} += ${text};`);
      else if (kind === 'max') {
        const greater = (arithmetic.max as (typeof arithmetic)[string])([total, text], scope);
        block.lines.push(`${total} = ${greater};`);
      } else {
        const v = local(text);
        const k = loops[0] === undefined ? '0.0' : asFloat(loops[0].name);
        block.lines.push(`${where} = ${v} > ${total} ? ${k} : ${where};`);
        block.lines.push(`${total} = ${v} > ${total} ? ${v} : ${total};`);
      }
    };
    const nest = (rest: readonly LoopVariable[]): void => {
      const [loop, ...inner] = rest;
      if (loop === undefined) {
        step();
        return;
      }
      if (kind === 'sum' && isPlainTerm(body)) {
        if (inner.length === 0) {
          unrolled(loop);
          return;
        }
        if (rest.reduce((n, l) => n * l.size, 1) <= UNROLL) {
          block.lines.push(`${total} += ${everyTerm(rest).join(' + ')};`);
          return;
        }
      }
      const { name, size } = loop;
      const lines = within(() => nest(inner));
      block.lines.push(
        `for (let ${name} = 0; ${name} < ${size}; ${name}++) {`,
        ...indent(lines),
        '}',
      );
    };
    /** The terms of a short nest, one for each value of all its variables. */
    const everyTerm = ([loop, ...inner]: readonly LoopVariable[]): string[] => {
      if (loop === undefined) return [compute(body)];
      const terms = range(loop.size).flatMap((ahead) => {
        variables.set(loop.name, { text: undefined, ahead });
        return everyTerm(inner);
      });
      variables.delete(loop.name);
      return terms;
    };
    /** A sum of plain products: written out, or a loop over chunks and the terms left over. */
    const unrolled = ({ name, size }: LoopVariable) => {
      const terms = (from: number, to: number, text: LoopVariable | undefined): string => {
        const list: string[] = [];
        for (let ahead = from; ahead < to; ahead++) {
          variables.set(name, { text, ahead });
          list.push(compute(body));
        }
        variables.delete(name);
        return list.join(' + ');
      };
      const looped = size <= UNROLL ? 0 : size - (size % CHUNK);
      if (looped > 0) {
        const chunked: LoopVariable = { kind: 'loop', name, size: looped - CHUNK + 1 };
        const lines = within(() => block.lines.push(`${total} += ${terms(0, CHUNK, chunked)};`));
        block.lines.push(
          `for (let ${name} = 0; ${name} < ${looped}; ${name} += ${CHUNK}) {`,
          ...indent(lines),
          '}',
        );
      }
      if (looped < size) block.lines.push(`${total} += ${terms(looped, size, undefined)};`);
    };
    nest(loops);
    return kind === 'argmax' ? where : total;
  };

  /** A product of two loads: a term that needs no statements of its own. */
  const isPlainTerm = (e: Expression): boolean =>
    e.kind === 'apply' &&
    e.name === 'mul' &&
    e.operands.every((x) => x.kind === 'number' || (x.kind === 'load' && !needsStatements(x.at)));
  const needsStatements = (at: Position): boolean => at.terms.some((t) => t.atom.kind !== 'loop');

  // ------------------------------------------------------------ threads
  const half: LoopVariable = { kind: 'loop', name: 'half', size: 2 };
  const axes = isWord ? [...kernel.axes, half] : kernel.axes;
  const output = threadAxes(axes, mode, (name, text) => {
    // gpu.js keeps locals as floats; the thread's own coordinates stay integers.
    if (text.startsWith('this.thread') && !text.includes(' ')) threadNames.set(name, text);
    else block.lines.push(`const ${name} = ${text};`);
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
  const names = [
    ...kernel.reads.map((_, i) => `b${i}`),
    ...(usesNormalTable ? ['normalTable'] : []),
  ];
  const source = [
    `function (${names.join(', ')}) {`,
    ...indent([
      ...[...specials].map(([name, text]) => `const ${name} = ${text};`),
      ...block.lines,
      `return ${result};`,
    ]),
    '}',
  ].join('\n');
  return { source, output, usesNormalTable };
}

/**
 * Defines the loop variables of the output from the thread's coordinates and gives the launch size.
 * WebAssembly runs four neighbours in x at once and treats y and z as plain numbers, so the last
 * axis is x there; other modes get one flat index.
 */
function threadAxes(
  axes: readonly LoopVariable[],
  mode: GpuJsMode,
  define: (name: string, text: string) => void,
): readonly number[] {
  const wide = axes.filter((a) => a.size > 1);
  for (const a of axes) if (a.size <= 1) define(a.name, '0');
  if (wide.length === 0) return [1];
  const threads = isFlat(mode)
    ? ['this.thread.x']
    : ['this.thread.x', 'this.thread.y', 'this.thread.z'];
  const output: number[] = [];
  threads.forEach((thread, t) => {
    const last = t === threads.length - 1;
    const own = last
      ? wide.slice(0, wide.length - t)
      : wide.slice(wide.length - t - 1, wide.length - t);
    if (own.length === 0) return;
    output.push(own.reduce((n, a) => n * a.size, 1));
    let rest = thread;
    own.reverse().forEach(({ name, size: n }, i) => {
      if (i === own.length - 1) define(name, rest);
      else {
        define(name, `${rest} % ${n}`);
        const next = `rest${t}_${i}`;
        define(next, `Math.floor((${rest} - ${name}) / ${literal(n)} + 0.5)`);
        rest = next;
      }
    });
  });
  return output;
}
