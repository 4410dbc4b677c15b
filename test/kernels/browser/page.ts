/** What runs inside the browser: the conformance of one backend, in small. */
import fc from 'fast-check';
import {
  floats,
  grad,
  key,
  normal,
  randomBits,
  simplify,
  splitTraced,
  trace,
  uniform,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  autoBackend,
  type Backend,
  backendByName,
  compile,
  release,
  wasmBackend,
} from '../../../src/kernels/index.js';
import { primitiveStrategies } from '../../autodiff/laws/primitiveCases.js';
import { checkTape, expected, requireEqual, runTape } from '../checking.js';
import { programsOf } from '../primitivePrograms.js';
import { randomProgram } from '../randomPrograms.js';

export interface Outcome {
  readonly checked: number;
  /** Greatest error relative to max(1, |reference|). */
  readonly worst: number;
  readonly failures: readonly string[];
  /** Buffers that one hundred steps with donated state left behind. */
  readonly leaked: number;
}

/** Where memory can be shared, WebAssembly must run on threads. */
const open = (name: string): Promise<Backend> =>
  name === 'wasm' && globalThis.crossOriginIsolated
    ? wasmBackend({ threads: 2 })
    : backendByName(name);

async function conformance(name: string, cases: number, programs: number): Promise<Outcome> {
  const backend = await open(name);
  const failures: string[] = [];
  let checked = 0;
  let worst = 0;
  const attempt = async (work: () => Promise<number>, note: string) => {
    checked += 1;
    try {
      worst = Math.max(worst, await work());
    } catch (error) {
      failures.push(`${note}: ${(error as Error).message}`.slice(0, 600));
    }
  };

  for (const [primitive, strategies] of Object.entries(primitiveStrategies)) {
    for (const { cases: arbitrary } of strategies) {
      for (const theCase of fc.sample(arbitrary, { numRuns: cases, seed: 7 })) {
        for (const { name: program, tape, inputs } of programsOf(theCase)) {
          const note = `${program} of ${theCase.note}`;
          await attempt(() => checkTape(backend, tape, inputs, note), primitive);
        }
      }
    }
  }
  for (let seed = 0; seed < programs; seed++) {
    const { f, inputs, note } = randomProgram(seed, 2 + (seed % 7));
    await attempt(() => checkTape(backend, simplify(trace(f, ...inputs)), inputs, note), 'program');
    const loss = (...xs: Value[]) => f(...xs).at(-1) as Value;
    const gradient = trace((x: Value, y: Value) => grad((v: Value) => loss(v, y))(x), ...inputs);
    await attempt(
      () => checkTape(backend, simplify(gradient), inputs, `gradient, ${note}`, 5e-5),
      'program',
    );
  }
  const draw = (k: Value) => [
    randomBits(k, [3, 5]),
    uniform(k, [31]),
    normal(k, [101]),
    ...splitTraced(k, 2),
  ];
  const bits = trace(draw, key(2 ** 40 + 3));
  const keys = [key(2 ** 40 + 3)];
  await attempt(
    async () => requireEqual(await runTape(backend, bits, keys), expected(bits, keys), 'bits', 0),
    'random bits',
  );

  const descent = compile((x: Value) => grad((v: Value) => scalarOf(v))(x), backend, {
    donate: [0],
  });
  let state: unknown = await descent(floats([1, 2, 3]));
  const before = backend.memory().buffers;
  for (let i = 0; i < 100; i++) state = await descent(state);
  const leaked = backend.memory().buffers - before;
  release(backend, state);
  await descent.dispose();
  await backend.dispose();
  return { checked, worst, failures, leaked };
}

const scalarOf = (x: Value): Value => randomProgram(3, 4).f(x, x).at(-1) as Value;

async function choice(): Promise<{ readonly name: string; readonly reason: string }> {
  const { backend, reason } = await autoBackend();
  await backend.dispose();
  return { name: backend.name, reason };
}

Object.assign(globalThis, { conformance, choice });
