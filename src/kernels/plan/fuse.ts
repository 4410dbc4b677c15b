/**
 * Fusion: which variables of a tape are written to memory, and which are computed inside the kernels
 * that use them.
 *
 * Every kernel fills one stored variable and pulls in whatever is not stored. The rules aim at few
 * kernels and no repeated work:
 *
 * - moving elements about (broadcast, reshape, transpose, slice) is always free: never stored;
 * - arithmetic is stored when several kernels would repeat it, unless it is trivial;
 * - sums, maxima and products are stored, but arithmetic that alone uses one and has its shape is
 *   done in the same kernel (an epilogue), but for sums into rows, which backends may do in the order
 *   of their indices instead of row by row;
 * - operands of products are stored, since a product reads each element many times; backends that
 *   copy operands tile by tile compute cheap ones on the way instead, and random noise always, so that
 *   neither noise nor a perturbed weight is ever in memory.
 */
import { type Equation, range, type Tape, type Var } from '../../autodiff/index.js';

/** Primitives that only change positions. */
export const MOVES = new Set(['broadcast', 'reshape', 'transpose', 'slice']);
const LOOPS = new Set(['reduceSum', 'reduceMax', 'argmax', 'dot', 'scatterAdd']);
/** Always stored: their expressions are large or split by position. */
const STORED = new Set(['concat', 'deriveKey']);
const SOURCES = new Set(['constant', 'iota']);
/** Primitives that draw random numbers for every element. */
const DRAWS = new Set(['randomBits', 'randomNormal']);
/**
 * Primitives that unpack what is kept small: what they are in is worked out again wherever it is used,
 * since storing it would take the memory that was to be saved.
 */
const UNPACKS = new Set(['nibble']);
/** Costs of arithmetic, in additions; 2 if not listed. */
const COST: Readonly<Record<string, number>> = {
  exp: 20,
  log: 20,
  sin: 20,
  cos: 20,
  tanh: 30,
  erf: 40,
  pow: 40,
  div: 4,
  sqrt: 6,
  randomBits: 200,
  randomNormal: 110,
  gather: 10,
  pad: 10,
};
/** Arithmetic up to this cost is repeated rather than stored. */
const TRIVIAL = 4;
/** Expressions nest no deeper: shader compilers give up at some depth. */
const DEEPEST = 64;

export interface FusionLimits {
  /** Most buffers that one kernel may read. */
  readonly maxReads: number;
  /** Most terms of the products that one kernel sums up; no bound by default. */
  readonly longestProduct?: number;
  /**
   * For backends whose products copy operands tile by tile: the greatest cost of arithmetic (see
   * `COST`) that is done while copying. Operands of products are stored without it.
   */
  readonly operandCost?: number;
}

/** The variable whose memory a chain of reshapes reads. */
export function throughReshapes(v: Var, definitions: ReadonlyMap<number, Equation>): Var {
  const definition = definitions.get(v.id);
  return definition?.primitive.name === 'reshape'
    ? throughReshapes(definition.inputs[0] as Var, definitions)
    : v;
}

interface Use {
  readonly equation: Equation;
  readonly operand: number;
}

/** Whether a use reads each element of its operand more than once. */
const rereads = ({ equation }: Use): boolean => equation.primitive.name === 'dot';

/** Ids of the variables that are written to memory (tape inputs and constants are there anyway). */
export function storedVariables(
  tape: Tape,
  { maxReads, longestProduct = Number.POSITIVE_INFINITY, operandCost }: FusionLimits,
): ReadonlySet<number> {
  const definitions = new Map<number, Equation>();
  const uses = new Map<number, Use[]>();
  for (const equation of tape.equations) {
    for (const v of equation.outputs) definitions.set(v.id, equation);
    equation.inputs.forEach((v, operand) => {
      uses.set(v.id, [...(uses.get(v.id) ?? []), { equation, operand }]);
    });
  }
  const outputs = new Set(tape.outputs.map((v) => v.id));
  const stored = new Set<number>();
  // What computing a variable inside its user costs per element, and which buffers that reads.
  const cost = new Map<number, number>();
  const depth = new Map<number, number>();
  const reads = new Map<number, ReadonlySet<number>>();
  const readsOf = (v: Var): ReadonlySet<number> =>
    stored.has(v.id) || !definitions.has(v.id) ? new Set([v.id]) : (reads.get(v.id) ?? new Set());

  /** The uses that compute something, seen through moves; and whether some move repeats elements. */
  const finalUses = (id: number): { use: Use; repeated: boolean }[] =>
    (uses.get(id) ?? []).flatMap((use) => {
      const { primitive, outputs: results } = use.equation;
      if (!MOVES.has(primitive.name)) return [{ use, repeated: false }];
      return finalUses((results[0] as Var).id).map(({ use: next, repeated }) => ({
        use: next,
        repeated: repeated || primitive.name === 'broadcast',
      }));
    });
  const movedToOutput = (id: number): boolean =>
    outputs.has(id) ||
    (uses.get(id) ?? []).some(
      ({ equation }) =>
        MOVES.has(equation.primitive.name) && movedToOutput((equation.outputs[0] as Var).id),
    );

  const mustStore = (equation: Equation): boolean => {
    const { primitive, outputs: results } = equation;
    const result = results[0] as Var;
    const { id } = result;
    if (outputs.has(id) || (depth.get(id) ?? 0) >= DEEPEST) return true;
    if (SOURCES.has(primitive.name) || MOVES.has(primitive.name)) return false;
    if (STORED.has(primitive.name)) return true;
    const final = finalUses(id);
    const users = new Set(final.map(({ use }) => use.equation));
    if (LOOPS.has(primitive.name)) {
      // An epilogue: one elementwise user of the same size, not itself inside another loop.
      const [only] = final;
      const inPlace =
        users.size === 1 &&
        only !== undefined &&
        !final.some((f) => f.repeated) &&
        !movedToOutput(id) &&
        only.use.equation.primitive.scalar !== undefined;
      return primitive.name === 'scatterAdd' || !inPlace;
    }
    const isUnpacked = unpacks(equation) && !holdsLoop(equation) && !movedToOutput(id);
    if (operandCost !== undefined && isUnpacked) return false;
    if (final.some(({ use }) => rereads(use))) {
      if (operandCost === undefined || holdsLoop(equation)) return true;
      const onlyProducts = final.every(({ use }) => rereads(use)) && !movedToOutput(id);
      if (onlyProducts && drawsNoise(equation)) return false;
      const ownCost = cost.get(id) ?? 0;
      if (ownCost > operandCost || (ownCost > TRIVIAL && users.size > 1)) return true;
    }
    // Who asks which elements reach the maximum must see the very numbers that it was taken of:
    // `cpu` rounds only what it stores, and shader compilers contract multiply and add at will.
    if (users.size > 1 && final.some(({ use }) => use.equation.primitive.name === 'reduceMax')) {
      return true;
    }
    const onlyElementwise = final.every(({ use }) => use.equation.primitive.scalar !== undefined);
    if (!onlyElementwise && holdsLoop(equation)) return true;
    const repeated = users.size + (movedToOutput(id) ? 1 : 0) > 1 || final.some((f) => f.repeated);
    return repeated && ((cost.get(id) ?? 0) > TRIVIAL || holdsLoop(equation));
  };

  /** Whether computing the equation in place would run a loop. */
  const holdsLoop = (equation: Equation): boolean =>
    LOOPS.has(equation.primitive.name) ||
    equation.inputs.some((v) => {
      const definition = definitions.get(v.id);
      return definition !== undefined && !stored.has(v.id) && holdsLoop(definition);
    });

  /** Whether computing the equation in place would compute one of these. */
  const inside =
    (names: ReadonlySet<string>) =>
    (equation: Equation): boolean =>
      names.has(equation.primitive.name) ||
      equation.inputs.some((v) => {
        const definition = definitions.get(v.id);
        return definition !== undefined && !stored.has(v.id) && inside(names)(definition);
      });
  const drawsNoise = inside(DRAWS);
  const unpacks = inside(UNPACKS);

  /**
   * How the axes of the products inside a variable lie in its own: equal for products that one kernel
   * can sum up tile by tile together. Empty where there is none, undefined where they differ.
   */
  const productForm = (v: Var): string | undefined => {
    const definition = definitions.get(v.id);
    if (definition === undefined || stored.has(v.id)) return '';
    const { primitive, inputs, params } = definition;
    if (primitive.name === 'dot') {
      const lhs = inputs[0] as Var;
      const batch = params.batch[0].length;
      const rows = lhs.shape.length - batch - params.contract[0].length;
      return `dot ${v.shape.join()} ${batch} ${rows}`;
    }
    const forms = inputs.map(productForm).filter((form) => form !== '');
    if (forms.length === 0) return '';
    if (new Set(forms).size > 1 || forms[0] === undefined) return undefined;
    return MOVES.has(primitive.name)
      ? `${primitive.name} ${JSON.stringify(params)} of ${forms[0]}`
      : forms[0];
  };

  /** Terms of the products that computing a variable in place sums up. */
  const productTerms = (v: Var): number => {
    const definition = definitions.get(v.id);
    if (definition === undefined || stored.has(v.id)) return 0;
    const { primitive, inputs, params } = definition;
    if (primitive.name !== 'dot') return inputs.reduce((n, x) => n + productTerms(x), 0);
    const [lhs] = inputs as readonly [Var];
    return params.contract[0].reduce((n: number, a: number) => n * (lhs.shape[a] as number), 1);
  };

  // A gather reads its rows from memory; a reshape before it changes nothing there.
  for (const { primitive, inputs } of tape.equations) {
    if (primitive.name !== 'gather') continue;
    const rows = throughReshapes(inputs[0] as Var, definitions);
    const source = definitions.get(rows.id)?.primitive.name;
    // Constants are there anyway; a kernel would copy one onto itself.
    if (source !== undefined && source !== 'constant') stored.add(rows.id);
  }
  const visit = (equation: Equation): void => {
    const { primitive, inputs, outputs: results } = equation;
    const result = results[0] as Var;
    const below = inputs.map((v) => (stored.has(v.id) ? 0 : (depth.get(v.id) ?? 0)));
    depth.set(result.id, Math.max(0, ...below) + (MOVES.has(primitive.name) ? 0 : 1));
    const own =
      MOVES.has(primitive.name) || SOURCES.has(primitive.name) ? 0 : (COST[primitive.name] ?? 2);
    const inherited = inputs.reduce(
      (sum, v) => sum + (stored.has(v.id) ? 0 : (cost.get(v.id) ?? 0)),
      0,
    );
    cost.set(result.id, own + inherited);
    // Keep the number of buffers within bounds by storing the operand that reads most.
    const together = () => new Set(inputs.flatMap((v) => [...readsOf(v)]));
    while (together().size > maxReads) {
      const widest = inputs
        .filter((v) => definitions.has(v.id) && !stored.has(v.id))
        .sort((a, b) => readsOf(b).size - readsOf(a).size)[0];
      if (widest === undefined || readsOf(widest).size <= 1) break;
      stored.add(widest.id);
    }
    // One long product a kernel: several would push each other's operands out of the cache.
    if (primitive.name !== 'dot') {
      const terms = inputs.map(productTerms);
      let sum = terms.reduce((n, x) => n + x, 0);
      for (const i of range(inputs.length).sort(
        (a, b) => (terms[b] as number) - (terms[a] as number),
      )) {
        if (sum <= longestProduct || sum === terms[i]) break;
        sum -= terms[i] as number;
        stored.add((inputs[i] as Var).id);
      }
    }
    if (operandCost !== undefined && !MOVES.has(primitive.name)) {
      // Products whose tiles do not lie alike are kept apart, the first inside.
      const forms = inputs.map(productForm);
      const kept = forms.find((form) => form !== '');
      inputs.forEach((v, i) => {
        if (forms[i] !== '' && (forms[i] === undefined || forms[i] !== kept)) stored.add(v.id);
      });
    }
    reads.set(
      result.id,
      primitive.name === 'constant'
        ? new Set(result.shape.length > 0 ? [result.id] : [])
        : together(),
    );
    if (mustStore(equation)) stored.add(result.id);
  };
  // Storing a variable late can add a buffer to kernels that were within bounds: look again.
  for (let before = -1; before < stored.size; ) {
    before = stored.size;
    tape.equations.forEach(visit);
  }
  return stored;
}
