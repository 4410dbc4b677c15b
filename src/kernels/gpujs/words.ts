/** Random words as gpu.js source: pairs of 16-bit halves. */
import { NORMALS_PER_BLOCK, range, sizeOf, type Var } from '../../autodiff/index.js';
import type { Expression, KeyWords } from '../plan/expression.js';
import { fixed, type Position, plus, quotient, times } from '../plan/position.js';
import type { PositionPrinter } from './positions.js';
import { type Halves, halvesOf, threefrySource } from './threefry.js';
import type { Writer } from './writer.js';

/** What else of a kernel's text words need. */
export interface WordSources {
  readonly writer: Writer;
  readonly positions: PositionPrinter;
  readonly argument: (buffer: Var) => string;
  readonly value: (e: Expression) => string;
  readonly condition: (e: Expression) => string;
}

/** Prints expressions of dtype uint. */
export function wordPrinter({ writer, positions, argument, value, condition }: WordSources) {
  const { local } = writer;
  const { position, index, guard } = positions;
  const word = (e: Expression): Halves => {
    const name = (half: string) => writer.lookUp(`${half}:${wordKey(e)}`);
    const [knownHigh, knownLow] = [name('high'), name('low')];
    if (knownHigh !== undefined && knownLow !== undefined)
      return { high: knownHigh, low: knownLow };
    const { high, low } = wordSource(e);
    const halves = { high: local(high), low: local(low) };
    writer.learn(`high:${wordKey(e)}`, halves.high);
    writer.learn(`low:${wordKey(e)}`, halves.low);
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
        const [name, size] = [argument(e.buffer), 2 * sizeOf(e.buffer.shape)];
        const [first, second] = [times(e.at, 2), plus(times(e.at, 2), fixed(1))];
        return { high: `${name}[${index(size, first)}]`, low: `${name}[${index(size, second)}]` };
      }
      case 'guard':
        return chosen(guard(e.conditions), word(e.inside), word(e.outside));
      case 'apply': {
        const [x, y, z] = e.operands as readonly [Expression, Expression, Expression];
        return e.name === 'select' ? chosen(condition(x), word(y), word(z)) : word(x);
      }
      case 'randomWord':
        return randomWord(e.key, e.at);
      case 'derivedWord': {
        // Known data, such as a layer's id, may have more bits than a float32 holds.
        const { data: number } = e;
        const isWord = number.kind === 'load' && number.buffer.dtype === 'uint';
        const data =
          number.kind === 'number'
            ? halvesOf(number.value)
            : isWord
              ? word(number)
              : split(local(value(number)));
        const counter = [halvesOf(e.purpose), data] as const;
        const [first, second] = threefrySource([word(e.key[0]), word(e.key[1])], counter, local);
        return chosen(`${position(e.word)} < 1`, first, second);
      }
      default:
        throw new Error(`gpujs: ${e.kind} is no random word`);
    }
  };
  /** Block number `at` of a key's stream. */
  const blockAt = (key: KeyWords, at: Position): readonly [Halves, Halves] => {
    const counter = [halvesOf(0), split(local(position(at)))] as const;
    return threefrySource([word(key[0]), word(key[1])], counter, local);
  };
  /** Word `at` of a key's stream. */
  const randomWord = (key: KeyWords, at: Position): Halves => {
    const [first, second] = blockAt(key, quotient(at, 2));
    const odd = local(`(${position(at)}) % 2`);
    return chosen(`${odd} < 1`, first, second);
  };
  /** A standard normal number: a signed sum of the entries that a block's bytes pick (normalTable.ts). */
  const normal = ({ key, at }: Extract<Expression, { kind: 'randomNormal' }>): string => {
    const block = blockAt(key, quotient(at, NORMALS_PER_BLOCK));
    const entries = block.flatMap(({ high, low }) =>
      [low, high].flatMap((half) => {
        const upper = local(`Math.floor(${half} / 256.0)`);
        return [`${half} - ${upper} * 256.0`, upper].map((byte) => local(`normalTable[${byte}]`));
      }),
    );
    const sums = [1, 2, 4].reduce<readonly string[]>((terms, bit) => {
      const odd = local(`(${position(quotient(at, bit))}) % 2`);
      return range(terms.length / 2).map((i) => {
        const [x, y] = [terms[2 * i], terms[2 * i + 1]];
        return local(`${odd} < 1 ? ${x} + ${y} : ${x} - ${y}`);
      });
    }, entries);
    return sums[0] as string;
  };
  /** The halves of a number within ±2²⁴, as a 32-bit word. */
  const split = (text: string): Halves => {
    const high = local(`Math.floor(${text} / 65536.0)`);
    const low = local(`${text} - ${high} * 65536.0`);
    return { high: local(`${high} < 0.0 ? ${high} + 65536.0 : ${high}`), low };
  };

  return { word, normal };
}
