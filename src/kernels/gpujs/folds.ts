/** Folds (sums, maxima, argmax) as gpu.js source: loops, written out where they are short. */
import { range } from '../../autodiff/index.js';
import type { Expression } from '../plan/expression.js';
import type { LoopVariable, Position } from '../plan/position.js';
import { arithmetic, numberSource } from './math.js';
import type { PositionPrinter } from './positions.js';
import { indent, type Writer } from './writer.js';

/** Sums up to this length are written out. */
const UNROLL = 64;
/** Longer ones are loops over this many terms. */
const CHUNK = 16;

type Fold = Extract<Expression, { kind: 'fold' }>;

export interface FoldSources {
  readonly writer: Writer;
  readonly positions: PositionPrinter;
  readonly value: (e: Expression) => string;
  /** As `value`, but never a name of before: unrolled terms differ in their loop variables. */
  readonly compute: (e: Expression) => string;
}

/** A product of two loads: a term that needs no statements of its own. */
const isPlainTerm = (e: Expression): boolean =>
  e.kind === 'apply' &&
  e.name === 'mul' &&
  e.operands.every((x) => x.kind === 'number' || (x.kind === 'load' && !needsStatements(x.at)));
const needsStatements = (at: Position): boolean => at.terms.some((t) => t.atom.kind !== 'loop');

/** Prints a fold; the result is the name of its total. */
export function foldPrinter({ writer, positions, value, compute }: FoldSources) {
  const { line, within, asFloat, local } = writer;
  const { unrolled: variables } = positions;
  return ({ fold: kind, loops, body }: Fold): string => {
    const total = writer.fresh('s');
    const where = writer.fresh('w');
    const start = kind === 'sum' ? '0.0' : numberSource(Number.NEGATIVE_INFINITY, writer);
    line(`let ${total} = ${start};`);
    if (kind === 'argmax') line(`let ${where} = 0.0;`);
    const step = () => {
      const text = value(body);
      if (kind === 'sum') line(`${total} += ${text};`);
      else if (kind === 'max') {
        const greater = (arithmetic.max as (typeof arithmetic)[string])([total, text], writer);
        line(`${total} = ${greater};`);
      } else {
        const v = local(text);
        const k = loops[0] === undefined ? '0.0' : asFloat(loops[0].name);
        line(`${where} = ${v} > ${total} ? ${k} : ${where};`);
        line(`${total} = ${v} > ${total} ? ${v} : ${total};`);
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
          line(`${total} += ${everyTerm(rest).join(' + ')};`);
          return;
        }
      }
      const { name, size } = loop;
      const lines = within(() => nest(inner));
      line(`for (let ${name} = 0; ${name} < ${size}; ${name}++) {`, ...indent(lines), '}');
    };
    /** The terms of a short nest, one for each value of all its variables. */
    const everyTerm = ([loop, ...inner]: readonly LoopVariable[]): string[] => {
      if (loop === undefined) return [compute(body)];
      const terms = range(loop.size).flatMap((ahead) => {
        variables.set(loop.name, { variable: undefined, ahead });
        return everyTerm(inner);
      });
      variables.delete(loop.name);
      return terms;
    };
    /** A sum of plain products: written out, or a loop over chunks and the terms left over. */
    const unrolled = ({ name, size }: LoopVariable) => {
      const terms = (from: number, to: number, variable: LoopVariable | undefined): string => {
        const list: string[] = [];
        for (let ahead = from; ahead < to; ahead++) {
          variables.set(name, { variable, ahead });
          list.push(compute(body));
        }
        variables.delete(name);
        return list.join(' + ');
      };
      const looped = size <= UNROLL ? 0 : size - (size % CHUNK);
      if (looped > 0) {
        const chunked: LoopVariable = { kind: 'loop', name, size: looped - CHUNK + 1 };
        const lines = within(() => line(`${total} += ${terms(0, CHUNK, chunked)};`));
        line(
          `for (let ${name} = 0; ${name} < ${looped}; ${name} += ${CHUNK}) {`,
          ...indent(lines),
          '}',
        );
      }
      if (looped < size) line(`${total} += ${terms(looped, size, undefined)};`);
    };
    nest(loops);
    return kind === 'argmax' ? where : total;
  };
}
