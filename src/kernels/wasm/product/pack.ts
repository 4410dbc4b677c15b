/**
 * Packing: a panel of an operand, its elements in the order in which the micro-kernel reads them. The
 * operand is any expression; this is where noise is drawn and half precision is widened, tile by tile.
 *
 * Elements are computed eight at a time along whichever direction runs along memory: across the panel,
 * or along the terms, in which case four by four of them are transposed.
 */
import { type Expression, nodesOf, positionsOf } from '../../plan/expression.js';
import { mapPositions } from '../../plan/merge.js';
import { type LoopVariable, ofAtom, type Position, plus, times } from '../../plan/position.js';
import { loopsOfPosition } from '../../plan/product.js';
import { emitLoop, vectorOver } from '../folds.js';
import { get, i32, v128 } from '../instructions.js';
import type { Lanes, Nest, VectorVariable } from '../nest.js';
import { transposed } from '../transposed.js';
import type { Values } from '../values.js';
import type { Local } from '../writer.js';
import { bindParts, type Panel } from './panels.js';

type RandomNormal = Extract<Expression, { kind: 'randomNormal' }>;

const smooth = (nest: Nest, e: Expression, vector: VectorVariable): number =>
  nest.withVector(vector, () => {
    const strides = positionsOf(e).map(nest.stride);
    return (
      strides.filter((s) => s === 0 || s === 1).length -
      2 * strides.filter((s) => s === undefined).length
    );
  });

/**
 * Emits the packing of one panel.
 * @param first number of the panel's first row or column (a local).
 * @param target address of the panel (a local).
 */
export function emitPack(
  nest: Nest,
  value: Values,
  panel: Panel,
  first: Local,
  target: Local,
): void {
  const { across, contracted, width, count, operand } = panel;
  const last = across.at(-1) as LoopVariable;
  const inner = contracted.at(-1);
  const acrossVector: VectorVariable = {
    variable: last,
    width: width > 4 ? 8 : 4,
    start: width,
    ragged: count % width !== 0 || width % 4 !== 0,
  };
  const fitsAcross = across.length === 1 || last.size % width === 0;
  const alongVector = inner === undefined ? undefined : vectorOver(inner);
  const isAlong =
    alongVector !== undefined &&
    (!fitsAcross || smooth(nest, operand, alongVector) > smooth(nest, operand, acrossVector));
  if (isAlong) packAlong(nest, value, panel, first, target, alongVector);
  else if (fitsAcross) packAcross(nest, value, panel, first, target, acrossVector);
  else packSingly(nest, value, panel, first, target);
}

/** Bytes from the panel's start to a term. */
const termOffset = (contracted: readonly LoopVariable[], bytes: number): Position => {
  let step = bytes;
  let sum: Position = { constant: 0, terms: [] };
  for (const v of [...contracted].reverse()) {
    sum = plus(sum, times(ofAtom(v), step));
    step *= v.size;
  }
  return sum;
};

function loopOver(
  nest: Nest,
  loops: readonly LoopVariable[],
  steps: readonly number[],
  body: () => void,
): void {
  const [first, ...rest] = loops;
  if (first === undefined) body();
  else emitLoop(nest, first, steps[0] as number, () => loopOver(nest, rest, steps.slice(1), body));
}

const part = (lanes: Lanes, u: number) => get(lanes[lanes.length === 1 ? 0 : u] as Local);

/** Terms whose random numbers are drawn together. */
const DRAWN_TOGETHER = 16;

const normalsIn = (e: Expression): readonly RandomNormal[] =>
  nodesOf(e).filter((x): x is RandomNormal => x.kind === 'randomNormal');

function packAcross(
  nest: Nest,
  value: Values,
  { across, contracted, width, operand }: Panel,
  first: Local,
  target: Local,
  vector: VectorVariable,
): void {
  const { writer } = nest;
  bindParts(nest, across, first);
  /** Packs terms that differ in their last loop variable, named anew for each but the first. */
  const terms = (last: LoopVariable | undefined, variables: readonly LoopVariable[]): void => {
    const named = variables.map(
      (own) => (p: Position) =>
        last === undefined || own === last ? p : renameLoops(p, [last], [own]),
    );
    const operands = named.map((rename) => mapPositions(operand, rename));
    value.normalsTogether(operands.flatMap(normalsIn));
    operands.forEach((e, i) => {
      const lanes = value(e, 'float');
      const offset = termOffset(contracted, 4 * width);
      const address = get(nest.address(target, (named[i] as (p: Position) => Position)(offset), 1));
      for (let u = 0; 4 * u < width; u++) {
        const half = width - 4 * u === 2;
        writer.emit(
          half
            ? v128.storeHalf(address, part(lanes, u), 0, 16 * u)
            : v128.store(address, part(lanes, u), 16 * u),
        );
      }
    });
  };
  const last = contracted.at(-1);
  nest.withVector(vector, () => {
    if (last === undefined) {
      terms(undefined, [{ kind: 'loop', name: 'only', size: 1 }]);
      return;
    }
    loopOver(
      nest,
      contracted.slice(0, -1),
      contracted.slice(0, -1).map(() => 1),
      () => {
        const drawn = normalsIn(operand).length > 0 ? DRAWN_TOGETHER : 1;
        const whole = last.size - (last.size % drawn);
        const inGroups = (): void => {
          const { local } = nest.loop(last);
          const others = Array.from(
            { length: drawn - 1 },
            (_, i): LoopVariable => ({
              ...last,
              name: `${last.name}+${i + 1}`,
            }),
          );
          others.forEach((v, i) => {
            nest.bind(v, writer.define('i32', i32.add(get(local), i32.const(i + 1))));
          });
          terms(last, [last, ...others]);
          others.forEach(nest.unbind);
        };
        emitLoop(nest, last, drawn, inGroups, { to: whole });
        emitLoop(nest, last, 1, () => terms(last, [last]), { from: whole });
      },
    );
  });
  across.forEach(nest.unbind);
}

/** The operand for each element across, with loop variables of its own. */
function separated(nest: Nest, { across, width, count, operand }: Panel, first: Local) {
  const { writer } = nest;
  const exact = count % width === 0;
  return Array.from({ length: width }, (_, lane) => {
    const own = across.map((v): LoopVariable => ({ ...v, name: `${v.name}.${lane}` }));
    const next = writer.define('i32', i32.add(get(first), i32.const(lane)));
    const limit = i32.const(count - 1);
    // Beyond the last row or column the last one again; nobody reads it.
    const number = exact
      ? next
      : writer.define('i32', i32.select(get(next), limit, i32.ltS(get(next), limit)));
    bindParts(nest, own, number);
    const renamed = (p: Position): Position => renameLoops(p, across, own);
    return { own, operand: mapPositions(operand, renamed) };
  });
}

function renameLoops(
  p: Position,
  from: readonly LoopVariable[],
  to: readonly LoopVariable[],
): Position {
  const names = loopsOfPosition(p);
  if (!from.some((v) => names.has(v.name))) return p;
  return {
    constant: p.constant,
    terms: p.terms.map(({ atom, coefficient }) => {
      if (atom.kind !== 'loop') {
        return { atom: { ...atom, of: renameLoops(atom.of, from, to) }, coefficient };
      }
      const i = from.findIndex((v) => v.name === atom.name);
      return { atom: i < 0 ? atom : (to[i] as LoopVariable), coefficient };
    }),
  };
}

function packAlong(
  nest: Nest,
  value: Values,
  panel: Panel,
  first: Local,
  target: Local,
  vector: VectorVariable,
): void {
  const { writer } = nest;
  const { contracted, width } = panel;
  const lanes = separated(nest, panel, first);
  const steps = contracted.map((_, i) => (i === contracted.length - 1 ? vector.width : 1));
  nest.withVector(vector, () =>
    loopOver(nest, contracted, steps, () => {
      value.normalsTogether(lanes.flatMap((l) => normalsIn(l.operand)));
      const rows = lanes.map(({ operand }) => value(operand, 'float'));
      const address = get(nest.address(target, termOffset(contracted, 4 * width), 1));
      for (let u = 0; 4 * u < vector.width; u++) {
        for (let group = 0; group < width; group += 4) {
          const four = [0, 1, 2, 3].map((i) =>
            part(rows[Math.min(group + i, width - 1)] as Lanes, u),
          );
          transposed(four, writer).forEach((column, k) => {
            const offset = 4 * width * (4 * u + k) + 4 * group;
            writer.emit(
              width - group < 4
                ? v128.storeHalf(address, get(column), 0, offset)
                : v128.store(address, get(column), offset),
            );
          });
        }
      }
    }),
  );
  for (const { own } of lanes) own.forEach(nest.unbind);
}

/** One element after another, where neither direction can be a vector. */
function packSingly(nest: Nest, value: Values, panel: Panel, first: Local, target: Local): void {
  const { writer } = nest;
  const { contracted, width } = panel;
  const lanes = separated(nest, panel, first);
  nest.withVector(undefined, () =>
    loopOver(
      nest,
      contracted,
      contracted.map(() => 1),
      () => {
        const address = get(nest.address(target, termOffset(contracted, 4 * width), 1));
        lanes.forEach(({ operand }, lane) => {
          const [element] = value(operand, 'float');
          writer.emit(v128.storeLane(address, get(element as Local), 0, 4 * lane));
        });
      },
    ),
  );
  for (const { own } of lanes) own.forEach(nest.unbind);
}
