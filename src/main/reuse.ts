/**
 * A backend that compiles each program once. The main job trains and measures many models of one
 * form, one after the other; their tapes are the same but for ids, and compiling them is more than
 * half of the work of a short run. So programs stay when they are disposed, and an equal tape gets
 * the one that is there.
 */
import { flatData, isHostArray, type Tape } from '../autodiff/index.js';
import type { Backend, Executable } from '../kernels/index.js';

interface Kept {
  readonly executable: Executable;
  /** What the program itself keeps on the device. */
  readonly buffers: number;
  readonly bytes: number;
  users: number;
}

const isTape = (x: unknown): x is Tape =>
  typeof x === 'object' && x !== null && 'equations' in x && 'outputs' in x;

/**
 * A text that is equal for tapes that compute the same in the same way, whatever their ids; the
 * numbers of their arrays are part of it. `undefined` where a parameter is a function.
 */
export function tapeText(tape: Tape, numberOf: (array: Uint8Array) => number): string | undefined {
  let isData = true;
  const show = ({ inputs, equations, outputs }: Tape): string => {
    const numbers = new Map(inputs.map((v, i) => [v.id, i]));
    const typed = (v: Tape['inputs'][number]) => {
      if (!numbers.has(v.id)) numbers.set(v.id, numbers.size);
      return `${numbers.get(v.id)}:${v.dtype}[${v.shape}]`;
    };
    const lines = equations.map(
      (e) =>
        `${e.outputs.map(typed)}=${e.primitive.name}(${e.inputs.map(typed)})${JSON.stringify(e.params, readable)}`,
    );
    return [inputs.map(typed), ...lines, outputs.map(typed)].join('\n');
  };
  const readable = (_: string, value: unknown): unknown => {
    if (isHostArray(value)) {
      const data = flatData(value);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return `${data.constructor.name}[${value.shape}] ${numberOf(bytes)}`;
    }
    if (isTape(value)) return show(value);
    if (typeof value === 'function') isData = false;
    // JSON would write 0 for −0 and null for the rest.
    return typeof value === 'number' && (Object.is(value, -0) || !Number.isFinite(value))
      ? Object.is(value, -0)
        ? '-0'
        : String(value)
      : value;
  };
  const text = show(tape);
  return isData ? text : undefined;
}

/** Numbers for contents: the same for equal bytes. */
function contentNumbers(): (bytes: Uint8Array) => number {
  const known: Buffer[] = [];
  return (bytes) => {
    const found = known.findIndex((k) => k.equals(bytes));
    return found >= 0 ? found : known.push(Buffer.from(bytes)) - 1;
  };
}

/**
 * The same backend, on which equal tapes share one program until the backend is disposed. Programs
 * that nobody holds at the moment do not count in `memory()`, so that it tells of a run what it would
 * tell of one alone. One run at a time: what a program keeps is what was added while it was compiled.
 */
export function reusingPrograms(backend: Backend): Backend {
  const numberOf = contentNumbers();
  const programs = new Map<string, Promise<Kept>>();
  const kept: Kept[] = [];

  const make = async (tape: Tape): Promise<Kept> => {
    const before = backend.memory();
    const executable = await backend.compile(tape);
    const after = backend.memory();
    const program: Kept = {
      executable,
      buffers: after.buffers - before.buffers,
      bytes: after.bytes - before.bytes,
      users: 0,
    };
    kept.push(program);
    return program;
  };

  return {
    ...backend,
    compile: async (tape) => {
      const text = tapeText(tape, numberOf);
      if (text === undefined) return backend.compile(tape);
      const made = programs.get(text) ?? make(tape);
      programs.set(text, made);
      const program = await made;
      program.users += 1;
      let held = true;
      return {
        ...program.executable,
        dispose: () => {
          if (held) program.users -= 1;
          held = false;
        },
      };
    },
    memory: () => {
      const { buffers, bytes, peakBytes } = backend.memory();
      const idle = kept.filter((p) => p.users === 0);
      return {
        buffers: buffers - idle.reduce((n, p) => n + p.buffers, 0),
        bytes: bytes - idle.reduce((n, p) => n + p.bytes, 0),
        peakBytes,
      };
    },
  };
}
