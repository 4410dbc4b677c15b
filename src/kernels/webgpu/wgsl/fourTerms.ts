/**
 * Four neighbouring values of an expression: what copies to workgroup memory are made of. Where all four
 * read neighbours in memory from a multiple of 4 on, they are read at once.
 */
import { range } from '../../../autodiff/index.js';
import { type Expression, nodesOf } from '../../plan/expression.js';
import { fixed, type Position, plus, positionKey, times } from '../../plan/position.js';
import type { KernelBindings } from './bindings.js';
import { positionPrinter } from './positions.js';
import { valuePrinter } from './values.js';
import type { Writer } from './writer.js';

type Load = Extract<Expression, { kind: 'load' }>;

const loadsOf = (body: Expression): readonly Load[] =>
  nodesOf(body).flatMap((e) => (e.kind === 'load' ? [e] : []));

/** A position over 4 where that is whole whatever the loop variables are. */
function quarterOf(at: Position): Position | undefined {
  const whole = at.constant % 4 === 0 && at.terms.every((t) => t.coefficient % 4 === 0);
  return whole ? times(at, 1 / 4) : undefined;
}

/** Loads that are read four at a time, by the text of each. */
function readTogether(
  four: readonly Expression[],
  writer: Writer,
  bindings: KernelBindings,
): ReadonlyMap<Expression, string> {
  const known = new Map<Expression, string>();
  const loads = four.map(loadsOf);
  const [first = []] = loads;
  if (loads.some((l) => l.length !== first.length)) return known;
  const { position } = positionPrinter(writer);
  first.forEach((load, i) => {
    const alike = loads.map((l) => l[i] as Load);
    const quarter = quarterOf(load.at);
    const neighbours = alike.every(
      (l, nth) =>
        l.buffer.id === load.buffer.id &&
        positionKey(l.at) === positionKey(plus(load.at, fixed(nth))),
    );
    if (quarter === undefined || !neighbours) return;
    const texts = bindings.fourElements(writer, load.buffer, position(quarter));
    texts?.forEach((text, nth) => {
      known.set(alike[nth] as Expression, text);
    });
  });
  return known;
}

/**
 * The text of four values, `four[nth]` being the expression of the nth.
 * @param groups several fours that are written next to each other, so that what they share is shared.
 */
export function fourTerms(
  groups: readonly (readonly Expression[])[],
  writer: Writer,
  bindings: KernelBindings,
): readonly (readonly string[])[] {
  const finished = new Map(groups.flatMap((four) => [...readTogether(four, writer, bindings)]));
  const printer = valuePrinter({ writer, bindings, finished }, groups.flat());
  return groups.map((four) =>
    range(4).map((nth) => writer.local(printer.value(four[nth] as Expression, 'f32'))),
  );
}
