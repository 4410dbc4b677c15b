/**
 * A loop nest in the making: which loop variables are open, which of them is computed several
 * elements at a time (the *vector variable*), and positions as code.
 */
import type { Expression } from '../plan/expression.js';
import {
  type Atom,
  bounds,
  type LoopVariable,
  type Position,
  positionKey,
} from '../plan/position.js';
import { loopsOf, loopsOfPosition } from '../plan/product.js';
import type { Code } from './encoding.js';
import { get, i32, i32x4, v128 } from './instructions.js';
import type { Local, Writer } from './writer.js';

/** Vectors of four lanes; one local for a value that is the same in all lanes. */
export type Lanes = readonly Local[];

export interface OpenLoop {
  readonly depth: number;
  /** Its value (i32); of the vector variable, that of the first lane. */
  readonly local: Local;
}

/** The variable of which `width` neighbouring values are computed together. */
export interface VectorVariable {
  readonly variable: LoopVariable;
  readonly width: 4 | 8;
  /** The first of them is a multiple of this; of `width` by default. */
  readonly start?: number;
  /** Whether the last step reaches beyond the variable's size. */
  readonly ragged: boolean;
}

export type Nest = ReturnType<typeof createNest>;

const coefficientOf = (p: Position, name: string): number =>
  p.terms.find((t) => t.atom.kind === 'loop' && t.atom.name === name)?.coefficient ?? 0;

/** Whether a variable stands below a quotient or remainder of the position. */
const isDivided = (p: Position, name: string): boolean =>
  p.terms.some(({ atom }) => atom.kind !== 'loop' && loopsOfPosition(atom.of).has(name));

export function createNest(writer: Writer) {
  const open = new Map<string, OpenLoop>();
  let vector: VectorVariable | undefined;
  const dependencies = new Map<Expression, ReadonlySet<string>>();

  const depthOfNames = (names: Iterable<string>): number => {
    let depth = 0;
    for (const name of names) depth = Math.max(depth, open.get(name)?.depth ?? 0);
    return depth;
  };
  const depthOfPosition = (p: Position): number => depthOfNames(loopsOfPosition(p));
  const namesOf = (e: Expression): ReadonlySet<string> => {
    const known = dependencies.get(e) ?? loopsOf(e);
    dependencies.set(e, known);
    return known;
  };
  /** The depth of the innermost open loop that an expression depends on. */
  const depthOf = (e: Expression): number => depthOfNames(namesOf(e));

  const bind = (variable: LoopVariable, local: Local): void => {
    open.set(variable.name, { depth: writer.innermost(), local });
  };
  const unbind = ({ name }: LoopVariable): void => {
    open.delete(name);
  };
  /** An open loop. */
  const loop = ({ name }: LoopVariable): OpenLoop => {
    const found = open.get(name);
    if (found === undefined) throw new Error(`wasm: loop ${name} is not open`);
    return found;
  };
  /** Runs `body` with another vector variable, or with none. */
  const withVector = <T>(next: VectorVariable | undefined, body: () => T): T => {
    const before = vector;
    vector = next;
    const result = body();
    vector = before;
    return result;
  };

  const varies = (p: Position): boolean =>
    vector !== undefined && loopsOfPosition(p).has(vector.variable.name);
  const variesIn = (e: Expression): boolean =>
    vector !== undefined && namesOf(e).has(vector.variable.name);
  /** Vectors per value. */
  const unroll = (): number => (vector === undefined ? 1 : vector.width / 4);

  /** The value of the vector variable in a lane, kept inside its loop where the last step is ragged. */
  const laneVariable = (lane: number): Local => {
    const { variable, ragged } = vector as VectorVariable;
    const { depth, local } = loop(variable);
    if (lane === 0) return local;
    const [made] = writer.once(`lane ${variable.name} ${lane}`, depth, () => {
      const moved = writer.define('i32', i32.add(get(local), i32.const(lane)));
      if (!ragged) return [moved];
      const last = i32.const(variable.size - 1);
      return [writer.define('i32', i32.select(get(moved), last, i32.ltS(get(moved), last)))];
    });
    return made as Local;
  };

  const atomLocal = (atom: Atom, lane: number): Local => {
    if (atom.kind === 'loop') {
      const isVector = vector !== undefined && atom.name === vector.variable.name;
      if (isVector) return laneVariable(lane);
      return loop(atom).local;
    }
    const own = varies(atom.of) ? lane : 0;
    const key = `${atom.kind} ${positionKey(atom.of)} ${atom.by} ${own}`;
    const [made] = writer.once(key, depthOfPosition(atom.of), () => {
      const of = get(index(atom.of, own));
      const [low] = bounds(atom.of);
      const by = i32.const(atom.by);
      const operation =
        atom.kind === 'quotient' ? (low < 0 ? i32.divS : i32.divU) : low < 0 ? i32.remS : i32.remU;
      return [writer.define('i32', operation(of, by))];
    });
    return made as Local;
  };

  /** base + scale · position in a lane; terms of outer loops are summed up outside the inner ones. */
  const scaled = (p: Position, scale: number, base: Local | undefined, lane: number): Local => {
    const least = base === undefined ? 0 : writer.depthOf(base);
    const atDepth = new Map<number, Position['terms'][number][]>();
    for (const term of p.terms) {
      const own =
        term.atom.kind === 'loop' ? depthOfNames([term.atom.name]) : depthOfPosition(term.atom.of);
      const depth = Math.max(least, own);
      atDepth.set(depth, [...(atDepth.get(depth) ?? []), term]);
    }
    const own = varies(p) ? lane : 0;
    let prefix: Position = { constant: p.constant, terms: [] };
    const key = () => `index ${base ?? ''} ${scale} ${positionKey(prefix)} ${own}`;
    let sum = writer.once(key(), least, () => {
      const start = i32.const(p.constant * scale);
      return [writer.define('i32', base === undefined ? start : i32.add(get(base), start))];
    });
    for (const depth of [...atDepth.keys()].sort((a, b) => a - b)) {
      const terms = atDepth.get(depth) as Position['terms'];
      prefix = { constant: p.constant, terms: [...prefix.terms, ...terms] };
      const before = sum;
      sum = writer.once(key(), depth, () => {
        const code = terms.reduce<Code>(
          (text, { atom, coefficient }) => {
            const factor = coefficient * scale;
            const value = get(atomLocal(atom, own));
            return i32.add(text, factor === 1 ? value : i32.mul(value, i32.const(factor)));
          },
          get(before[0] as Local),
        );
        return [writer.define('i32', code)];
      });
    }
    return sum[0] as Local;
  };

  /** The position as an integer, in a lane of the vector variable. */
  const index = (p: Position, lane = 0): Local => scaled(p, 1, undefined, lane);

  /** The address of an element: `base` + bytes · position. */
  const address = (base: Local, p: Position, bytes: number, lane = 0): Local =>
    scaled(p, bytes, base, lane);

  /** The step between lanes where they are evenly spaced, else `undefined`. */
  const stride = (p: Position): number | undefined => {
    if (!varies(p)) return 0;
    const { name } = (vector as VectorVariable).variable;
    return isDivided(p, name) ? undefined : coefficientOf(p, name);
  };

  /** Integers, one per lane, from one local each. */
  const gathered = (of: (lane: number) => Local, first = 0): Code =>
    [1, 2, 3].reduce<Code>(
      (text, lane) => i32x4.replaceLane(text, lane, get(of(first + lane))),
      i32x4.splat(get(of(first))),
    );

  /** A position as integers in lanes. */
  const indices = (p: Position): Lanes =>
    writer.once(`indices ${positionKey(p)}`, depthOfPosition(p), () => {
      const step = stride(p);
      if (step === 0) return [writer.define('v128', i32x4.splat(get(index(p))))];
      return Array.from({ length: unroll() }, (_, u) => {
        if (step === undefined) {
          return writer.define(
            'v128',
            gathered((lane) => index(p, lane), 4 * u),
          );
        }
        const offsets = [0, 1, 2, 3].map((lane) => (4 * u + lane) * step);
        return writer.define('v128', i32x4.add(i32x4.splat(get(index(p))), v128.words(offsets)));
      });
    });

  /** Applies code to each vector of some values; one vector stands for all. */
  const each = (operands: readonly Lanes[], code: (vectors: readonly Code[]) => Code): Lanes =>
    Array.from({ length: Math.max(1, ...operands.map((o) => o.length)) }, (_, u) =>
      writer.define('v128', code(operands.map((o) => get(o[o.length === 1 ? 0 : u] as Local)))),
    );

  return {
    writer,
    each,
    bind,
    unbind,
    loop,
    withVector,
    vector: () => vector,
    varies,
    variesIn,
    unroll,
    depthOf,
    depthOfPosition,
    index,
    address,
    stride,
    indices,
    gathered,
    laneVariable,
  };
}
