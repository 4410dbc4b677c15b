/**
 * Attention as one kernel (its two primitives are in `autodiff/primitives/attention*.ts`): what it
 * reads, where, and what it fills. The T×S scores appear nowhere: a backend computes a few rows of
 * them at a time, in the forward pass and again in the backward pass.
 *
 * Operands are loads, with the positions of their elements as sums over the kernel's loop variables,
 * so that transposed, sliced or broadcast operands (heads beside each other in memory, a key head that
 * serves several query heads, a mask for all queries) are read where they are. What needs more than
 * that is stored first.
 */
import type { AttentionParams, Equation, Tape, Var } from '../../autodiff/index.js';
import type { Expression } from './expression.js';
import { MOVES } from './fuse.js';
import { elementOf } from './lower.js';
import { hasDivision, type LoopVariable, ofAtom, type Position } from './position.js';

export type Load = Extract<Expression, { kind: 'load' }>;

interface Sizes {
  /** Leading axes, outermost first. */
  readonly batch: readonly LoopVariable[];
  /** Queries, T. */
  readonly rows: LoopVariable;
  /** Keys, S. */
  readonly columns: LoopVariable;
  /** Axis of queries and keys that scores sum over, d. */
  readonly depth: LoopVariable;
  /** Axis of values, e. */
  readonly width: LoopVariable;
}

interface ForwardOperands {
  /** By batch, rows and depth. */
  readonly q: Load;
  /** By batch, columns and depth. */
  readonly k: Load;
  /** By batch, columns and width. */
  readonly v: Load;
  /** By batch, rows and columns; not 0 where a query may look. */
  readonly mask: Load | undefined;
}

interface BackwardOperands extends ForwardOperands {
  /** By batch and rows. */
  readonly logSumExp: Load;
  /** By batch, rows and width. */
  readonly dOut: Load;
  /** By batch and rows. */
  readonly shift: Load;
}

interface Shared extends Sizes {
  /** Filled row-major: [out, logSumExp], or [dq, dk, dv]. */
  readonly outputs: readonly Var[];
  readonly params: AttentionParams;
  /** Buffers that it reads, each once. */
  readonly reads: readonly Var[];
}

/** One launch with several outputs; see the primitives' docs for the formulas. */
export type AttentionKernel = Shared &
  (
    | { readonly kind: 'attention'; readonly operands: ForwardOperands }
    | { readonly kind: 'attentionBackward'; readonly operands: BackwardOperands }
  );

export const isAttention = ({ primitive }: Equation): boolean =>
  primitive.name === 'attention' || primitive.name === 'attentionBackward';

/** The variable that a chain of moves starts from. */
function throughMoves(v: Var, definitions: ReadonlyMap<number, Equation>): Var {
  const definition = definitions.get(v.id);
  return definition !== undefined && MOVES.has(definition.primitive.name)
    ? throughMoves(definition.inputs[0] as Var, definitions)
    : v;
}

const loop = (name: string, size: number): LoopVariable => ({ kind: 'loop', name, size });

function sizesOf({ inputs }: Equation): Sizes {
  const [q, , v] = inputs as readonly [Var, Var, Var];
  const [rows, depth] = q.shape.slice(-2) as [number, number];
  const [columns, width] = v.shape.slice(-2) as [number, number];
  return {
    batch: q.shape.slice(0, -2).map((size, i) => loop(`batch${i}`, size)),
    rows: loop('row', rows),
    columns: loop('column', columns),
    depth: loop('depth', depth),
    width: loop('width', width),
  };
}

/** The loop variables of each operand's axes behind the batch, in the order of the operands. */
function axesOf({ primitive, inputs }: Equation, { rows, columns, depth, width }: Sizes) {
  const backward = primitive.name === 'attentionBackward';
  return [
    [rows, depth],
    [columns, depth],
    [columns, width],
    ...(backward ? [[rows], [rows, width], [rows]] : []),
    [rows, columns],
  ].slice(0, inputs.length);
}

/**
 * Reads operands of attention where they are.
 * @returns for each operand its load, from the memory of a variable that has to be stored.
 */
function loadsOf(
  equation: Equation,
  tape: Tape,
  definitions: ReadonlyMap<number, Equation>,
): readonly Load[] {
  const sizes = sizesOf(equation);
  const axes = axesOf(equation, sizes);
  const loadFrom = (memory: Var, operand: Var, at: readonly Position[]): Load => {
    const root = equation.outputs[0] as Var;
    return elementOf(tape, definitions, new Set([memory.id]), root)(operand, at) as Load;
  };
  return equation.inputs.map((operand, i) => {
    const at = [...sizes.batch, ...(axes[i] as readonly LoopVariable[])].map(ofAtom);
    const load = loadFrom(throughMoves(operand, definitions), operand, at);
    return hasDivision(load.at) ? loadFrom(operand, operand, at) : load;
  });
}

/** The kernel of an equation of attention. */
function kernelOf(equation: Equation, loads: readonly Load[]): AttentionKernel {
  const { primitive, params, outputs } = equation;
  const reads = new Map(loads.map(({ buffer }) => [buffer.id, buffer]));
  const shared = { ...sizesOf(equation), outputs, params, reads: [...reads.values()] };
  const [q, k, v, ...more] = loads as readonly [Load, Load, Load, ...Load[]];
  if (primitive.name === 'attention') {
    return { ...shared, kind: 'attention', operands: { q, k, v, mask: more[0] } };
  }
  const [logSumExp, dOut, shift, mask] = more as [Load, Load, Load, Load | undefined];
  return {
    ...shared,
    kind: 'attentionBackward',
    operands: { q, k, v, mask, logSumExp, dOut, shift },
  };
}

/** A tape cut at its equations of attention. */
export interface CutTape {
  /** All else: results of attention are inputs, what attention reads from memory are outputs. */
  readonly rest: Tape;
  /** The kernels of attention, by the id of their first output. */
  readonly kernels: ReadonlyMap<number, AttentionKernel>;
}

/** Takes attention out of a tape, such that the rest can be fused without knowing of it. */
export function cutAtAttention(tape: Tape, definitions: ReadonlyMap<number, Equation>): CutTape {
  const kernels = tape.equations
    .filter(isAttention)
    .map((equation) => kernelOf(equation, loadsOf(equation, tape, definitions)));
  const filled = kernels.flatMap((k) => k.outputs);
  const there = new Set([...tape.inputs, ...tape.outputs, ...filled].map((v) => v.id));
  const isConstant = (v: Var) =>
    definitions.get(v.id)?.primitive.name === 'constant' && v.shape.length > 0;
  const wanted = new Map(
    kernels
      .flatMap((k) => k.reads)
      .filter((v) => !there.has(v.id) && !isConstant(v))
      .map((v) => [v.id, v]),
  );
  return {
    rest: {
      inputs: [...tape.inputs, ...filled],
      equations: tape.equations.filter((e) => !isAttention(e)),
      outputs: [...tape.outputs, ...wanted.values()],
    },
    kernels: new Map(kernels.map((k) => [(k.outputs[0] as Var).id, k])),
  };
}
