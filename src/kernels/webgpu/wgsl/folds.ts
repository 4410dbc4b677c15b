/**
 * Folds (sums, maxima, argmax) as WGSL: loops of one invocation, or of a whole workgroup whose
 * invocations take every n-th term each and then join their parts in a tree, always the same one.
 */
import type { Expression } from '../../plan/expression.js';
import { type LoopVariable, ofAtom } from '../../plan/position.js';
import { loopsFrom, substitute } from '../substitute.js';
import { numberSource, type ValueType } from './types.js';
import { indent, type Writer } from './writer.js';

type Fold = Extract<Expression, { kind: 'fold' }>;
export type FoldPrinter = (fold: Fold) => string;

export interface FoldScope {
  readonly writer: Writer;
  readonly value: (e: Expression, type?: ValueType) => string;
  readonly typeOf: (e: Expression) => ValueType;
  readonly together: { readonly lane: string; readonly size: number } | undefined;
}

/** What a fold of nothing is. */
const start = (kind: Fold['fold'], type: ValueType, writer: Writer): string => {
  if (kind === 'sum') return numberSource(0, type, writer);
  if (type === 'i32') return 'i32(-2147483648)';
  return numberSource(Number.NEGATIVE_INFINITY, type, writer);
};

/** Prints a fold; the result is the name of its total. */
export function foldPrinter({ writer, value, typeOf, together }: FoldScope): FoldPrinter {
  const { line, within, local } = writer;
  // Only the outermost fold is shared out; one inside it is each invocation's own.
  let inside = false;

  const step = (
    { fold: kind, body, loops }: Fold,
    total: string,
    where: string,
    type: ValueType,
  ) => {
    const term = value(body, type);
    if (kind === 'sum') line(`${total} += ${term};`);
    else if (kind === 'max') {
      line(`${total} = ${type === 'f32' ? writer.call('greater') : 'max'}(${total}, ${term});`);
    } else {
      const v = local(term);
      line(`${where} = select(${where}, ${loops[0]?.name ?? '0'}, ${v} > ${total});`);
      line(`${total} = select(${total}, ${v}, ${v} > ${total});`);
    }
  };

  const serial = (fold: Fold): string => {
    const type = typeOf(fold.body);
    const [total, where] = [writer.fresh('s'), writer.fresh('w')];
    line(`var ${total}: ${type} = ${start(fold.fold, type, writer)};`);
    if (fold.fold === 'argmax') line(`var ${where}: i32 = 0;`);
    const nest = ([loop, ...rest]: readonly LoopVariable[]): void => {
      if (loop === undefined) {
        step(fold, total, where, type);
        return;
      }
      const { name, size } = loop;
      const lines = within(() => nest(rest));
      line(`for (var ${name} = 0; ${name} < ${size}; ${name}++) {`, ...indent(lines), '}');
    };
    nest(fold.loops);
    return fold.fold === 'argmax' ? where : total;
  };

  const shared = (fold: Fold, lane: string, lanes: number): string => {
    const type = typeOf(fold.body);
    const total = writer.fresh('s');
    const terms = fold.loops.reduce((n, l) => n * l.size, 1);
    const term: LoopVariable = { kind: 'loop', name: writer.fresh('t'), size: terms };
    const body = substitute(fold.body, loopsFrom(fold.loops, ofAtom(term)));
    line(`var ${total}: ${type} = ${start(fold.fold, type, writer)};`);
    const lines = within(() => step({ ...fold, body }, total, '', type));
    line(
      `for (var ${term.name} = i32(${lane}); ${term.name} < ${terms}; ${term.name} += ${lanes}) {`,
      ...indent(lines),
      '}',
    );
    return `${fold.fold}OfGroup(${lane}, ${total})`;
  };

  return (fold) => {
    if (together === undefined || inside || fold.fold === 'argmax') return serial(fold);
    inside = true;
    const total = shared(fold, together.lane, together.size);
    inside = false;
    return total;
  };
}

/** The function by which a workgroup joins its invocations' parts. */
export function groupFold(kind: 'sum' | 'max', size: number): string {
  const joined = (x: string, y: string) => (kind === 'sum' ? `${x} + ${y}` : `greater(${x}, ${y})`);
  return `fn ${kind}OfGroup(lane: u32, part: f32) -> f32 {
  workgroupBarrier();
  partsOfGroup[lane] = part;
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) { partsOfGroup[lane] = ${joined('partsOfGroup[lane]', 'partsOfGroup[lane + half]')}; }
    workgroupBarrier();
  }
  return partsOfGroup[0];
}`;
}
