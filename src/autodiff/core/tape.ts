/**
 * Tapes: programs as data, in single-assignment form.
 *
 *     input a: float[2,3]
 *     b: float[2,3] = exp a
 *     c: float[] = reduceSum{axes=[0,1]} b
 *     return c
 *
 * A tape is what transforms take and give, and what backends compile. `linearise` lays a traced
 * expression out as a tape; `replay` is its inverse: it builds the expression again on other
 * inputs, which is how a tape is inlined into a larger function.
 */
import type { Aval } from './aval.js';
import { FlatloraError } from './errors.js';
import { type Application, apply, type Params, type Primitive, type Value } from './value.js';

/** A variable of a tape. Ids are unique within the tape. */
export interface Var extends Aval {
  readonly id: number;
}

/** `outputs = primitive{params}(inputs)` */
export interface Equation {
  readonly primitive: Primitive;
  readonly inputs: readonly Var[];
  readonly params: Params;
  readonly outputs: readonly Var[];
}

export interface Tape {
  readonly inputs: readonly Var[];
  readonly equations: readonly Equation[];
  readonly outputs: readonly Var[];
}

/** A tape and the values of the surrounding function that its last inputs stand for. */
export interface Closure {
  readonly tape: Tape;
  readonly captured: readonly Value[];
}

/** The distinct applications that `outputs` rest on, operands before uses, without recursion. */
function topologicalOrder(outputs: readonly Value[]): Application[] {
  const order: Application[] = [];
  const seen = new Set<Application>();
  const stack: { readonly node: Application; next: number }[] = [];
  const visit = ({ source }: Value) => {
    if (source !== undefined && !seen.has(source)) {
      seen.add(source);
      stack.push({ node: source, next: 0 });
    }
  };
  for (const output of outputs) {
    visit(output);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const operand = top.node.inputs[top.next++];
      if (operand !== undefined) visit(operand);
      else order.push((stack.pop() as { node: Application }).node);
    }
  }
  return order;
}

/**
 * Lays out the expression from `inputs` to `outputs` as a tape.
 *
 * What the outputs use of a surrounding function (its inputs, and whatever was computed from them
 * alone) is captured: it becomes further inputs of the tape. Constants are part of the tape.
 */
export function linearise(inputs: readonly Value[], outputs: readonly Value[]): Closure {
  const order = topologicalOrder(outputs);
  const own = new Set(inputs);
  const inside = new Set<Application>();
  const foreign = new Set<Application>();
  const isInside = (v: Value) => own.has(v) || (v.source !== undefined && inside.has(v.source));
  const isForeign = (v: Value) =>
    v.source === undefined ? !own.has(v) : foreign.has(v.source) && !inside.has(v.source);
  for (const node of order) {
    if (node.inputs.some(isInside)) inside.add(node);
    if (node.inputs.some((v) => isForeign(v))) foreign.add(node);
  }

  let nextId = 0;
  const fresh = ({ shape, dtype }: Aval): Var => ({ id: nextId++, shape, dtype });
  const tapeInputs = inputs.map(fresh);
  const vars = new Map<Value, Var>(inputs.map((v, i) => [v, tapeInputs[i] as Var]));
  const captured: Value[] = [];
  const varOf = (v: Value): Var => {
    const known = vars.get(v);
    if (known !== undefined) return known;
    const variable = fresh(v);
    vars.set(v, variable);
    captured.push(v);
    tapeInputs.push(variable);
    return variable;
  };

  const equations: Equation[] = [];
  for (const node of order) {
    if (foreign.has(node) && !inside.has(node)) continue;
    const operands = node.inputs.map(varOf);
    const results = node.outputs.map(fresh);
    node.outputs.forEach((v, i) => {
      vars.set(v, results[i] as Var);
    });
    equations.push({
      primitive: node.primitive,
      inputs: operands,
      params: node.params,
      outputs: results,
    });
  }
  const tapeOutputs = outputs.map(varOf);
  return { tape: dropUnused({ inputs: tapeInputs, equations, outputs: tapeOutputs }), captured };
}

/** Dead-code elimination: only the equations that the outputs rest on, inputs unchanged. */
export function dropUnused(tape: Tape): Tape {
  const needed = new Set(tape.outputs.map((v) => v.id));
  const equations: Equation[] = [];
  for (const equation of [...tape.equations].reverse()) {
    if (equation.outputs.some((v) => needed.has(v.id))) {
      equation.inputs.forEach((v) => {
        needed.add(v.id);
      });
      equations.push(equation);
    }
  }
  return equations.length === tape.equations.length
    ? tape
    : { ...tape, equations: equations.reverse() };
}

/** What a variable id stands for while a tape is walked. */
export type Environment<A> = Map<number, A>;

export function lookUp<A>(environment: Environment<A>, variable: Var): A {
  const found = environment.get(variable.id);
  if (found === undefined) {
    throw new FlatloraError(
      'argument',
      `tape: variable ${variable.id} is used before its equation`,
    );
  }
  return found;
}

/** The environment after all equations, `inputs` standing for the tape's inputs. */
export function replayAll(tape: Tape, inputs: readonly Value[]): Environment<Value> {
  if (inputs.length !== tape.inputs.length) {
    throw new FlatloraError(
      'argument',
      `tape: ${inputs.length} inputs given, expected ${tape.inputs.length}`,
    );
  }
  const environment: Environment<Value> = new Map();
  tape.inputs.forEach((v, i) => {
    environment.set(v.id, inputs[i] as Value);
  });
  for (const { primitive, inputs: operands, params, outputs } of tape.equations) {
    const results = apply(
      primitive,
      operands.map((v) => lookUp(environment, v)),
      params,
    );
    outputs.forEach((v, i) => {
      environment.set(v.id, results[i] as Value);
    });
  }
  return environment;
}

/** The tape's outputs as an expression of `inputs`. */
export function replay(tape: Tape, inputs: readonly Value[]): readonly Value[] {
  const environment = replayAll(tape, inputs);
  return tape.outputs.map((v) => lookUp(environment, v));
}
