/**
 * Where the code of a function is written. A function is a nest of scopes, one per loop; a value is
 * defined in the outermost scope in which everything that it depends on is known, and only once. So
 * whatever does not vary along an inner loop is computed before it.
 */
import type { Code, ValueType, WasmFunction } from './encoding.js';
import { get, set, when } from './instructions.js';

/** The number of a local. */
export type Local = number;

interface Scope {
  readonly code: number[];
  /** Locals of what was defined here, by whatever identifies it. */
  readonly known: Map<unknown, readonly Local[]>;
}

const newScope = (): Scope => ({ code: [], known: new Map() });

function append(to: number[], code: Code): void {
  for (const byte of code) to.push(byte);
}

export type Writer = ReturnType<typeof createWriter>;

/** A writer for one function with the given parameters, which are its first locals. */
export function createWriter(params: readonly ValueType[]) {
  const locals: ValueType[] = [];
  const depths = new Map<Local, number>();
  let scopes: readonly Scope[] = [newScope()];
  const innermost = () => scopes.length - 1;
  const at = (depth: number): Scope => scopes[depth] as Scope;

  const local = (type: ValueType): Local => params.length + locals.push(type) - 1;

  const emit = (code: Code, depth = innermost()): void => append(at(depth).code, code);

  /** A fresh local with a value. */
  const define = (type: ValueType, value: Code, depth = innermost()): Local => {
    const made = local(type);
    depths.set(made, depth);
    emit(set(made, value), depth);
    return made;
  };

  /** The depth of the scope in which a local was defined; 0 for parameters. */
  const depthOf = (of: Local): number => depths.get(of) ?? 0;

  /** What `make` gives, made at most once per key and scope, with the code that it emits there. */
  const once = (key: unknown, depth: number, make: () => readonly Local[]): readonly Local[] => {
    const before = at(depth).known.get(key);
    if (before !== undefined) return before;
    const made = within(depth, make);
    at(depth).known.set(key, made);
    return made;
  };

  /** Runs `body` as if the scopes deeper than `depth` were not open. */
  const within = <T>(depth: number, body: () => T): T => {
    const all = scopes;
    scopes = all.slice(0, depth + 1);
    const result = body();
    scopes = all;
    return result;
  };

  /** The code that `body` emits in a scope of its own. */
  const scoped = (body: () => void): Code => {
    const outer = scopes;
    const inner = newScope();
    scopes = [...outer, inner];
    body();
    scopes = outer;
    return inner.code;
  };

  /** Emits what `body` emits, to run where the condition holds. */
  const emitWhen = (condition: Code, body: () => void): void => emit(when(condition, scoped(body)));

  /** The function that was written. */
  const finish = (exportAs?: string): WasmFunction => ({
    params,
    locals,
    body: at(0).code,
    ...(exportAs !== undefined && { exportAs }),
  });

  return { local, emit, define, depthOf, once, within, scoped, emitWhen, innermost, finish, get };
}
