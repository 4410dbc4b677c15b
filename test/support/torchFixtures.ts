/** Reads `test/fixtures/torch` and holds functions to PyTorch's values and gradients. */
import { readFileSync } from 'node:fs';
import {
  floats,
  type HostArray,
  ints,
  isHostArray,
  type Value,
  vjp,
} from '../../src/autodiff/index.js';
import { type Backend, evaluate } from '../../src/kernels/index.js';
import { type TestBackend, testBackends } from './backends.js';
import { relativeError, toNumbers } from './numeric.js';

type Named<A> = Readonly<Record<string, A>>;

/** A case of a file: at least these parts, arrays read as host arrays. */
export interface TorchCase {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the file's operation takes as options.
  readonly attrs: Named<any>;
  readonly inputs: Named<HostArray>;
  readonly outputs: Named<HostArray>;
  /** Cotangents of (some of) the outputs; loss = Σ output · upstream. */
  readonly upstream: Named<HostArray>;
  readonly loss: number;
  readonly gradients: Named<HostArray>;
}

export interface TorchFixture<Case> {
  readonly op: string;
  readonly note?: string;
  readonly cases: readonly Case[];
}

const isStoredArray = (
  x: object,
): x is { shape: number[]; dtype: 'float' | 'int'; data: number[] } =>
  'shape' in x && 'dtype' in x && 'data' in x;

/** Stored arrays at any depth as host arrays, everything else as it is. */
function revive(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(revive);
  if (typeof node !== 'object' || node === null) return node;
  if (isStoredArray(node)) {
    return (node.dtype === 'int' ? ints : floats)(node.data, node.shape);
  }
  return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, revive(v)]));
}

/**
 * A file of `test/fixtures/torch`, by its name without `.json`. Files of optimisers, schedules,
 * clipping and LoRA-SAM have cases of their own form: name it as the type argument.
 */
export function readTorchFixture<Case = TorchCase>(file: string): TorchFixture<Case> {
  const url = new URL(`../fixtures/torch/${file}.json`, import.meta.url);
  return revive(JSON.parse(readFileSync(url, 'utf8'))) as TorchFixture<Case>;
}

/** An operation under test: named arrays and the case's options in, named arrays out. */
export type TorchOperation = (
  inputs: Named<Value>,
  attrs: TorchCase['attrs'],
  name: string,
) => Named<Value>;

const pick = <A>(from: Named<A>, names: readonly string[]): Named<A> =>
  Object.fromEntries(
    names.map((k) => {
      const found = from[k];
      if (found === undefined) throw new Error(`the operation gave no output "${k}"`);
      return [k, found];
    }),
  );

const without = <A>(from: Named<A>, names: Named<unknown>): Named<A> =>
  Object.fromEntries(Object.entries(from).filter(([k]) => !(k in names)));

/** Outputs, loss and gradients of one case on one backend, with their errors. */
export async function torchErrors(
  { name, attrs, inputs, outputs, upstream, loss, gradients }: TorchCase,
  operation: TorchOperation,
  backend: Backend,
): Promise<Named<number>> {
  const moving = pick(inputs, Object.keys(gradients));
  const still = without(inputs, gradients);
  const seeded = Object.keys(upstream);
  const results = await evaluate(
    (m: Named<Value>, s: Named<Value>, u: Named<Value>) => {
      const all = operation({ ...s, ...m }, attrs, name);
      const pulled = vjp(
        (p: Named<Value>) => pick(operation({ ...s, ...p }, attrs, name), seeded),
        m,
      );
      return { outputs: all, gradients: pulled.pullback(u)[0] };
    },
    backend,
    moving,
    still,
    upstream,
  );
  const errors: Record<string, number> = {};
  const compare = (label: string, given: unknown, expected: HostArray) => {
    if (!isHostArray(given)) {
      throw new Error(`${label}: the operation gave none`);
    }
    expect([label, ...given.shape]).toEqual([label, ...expected.shape]);
    errors[label] = relativeError(toNumbers(given), toNumbers(expected));
  };
  const found = results.outputs as unknown as Named<HostArray>;
  // Outputs without upstream are for inspection: compared where the operation returns them.
  for (const [k, expected] of Object.entries(outputs)) {
    if (k in upstream || k in found) compare(`output ${k}`, found[k], expected);
  }
  for (const [k, expected] of Object.entries(gradients)) {
    compare(`gradient of ${k}`, (results.gradients as unknown as Named<HostArray>)[k], expected);
  }
  const total = seeded.reduce((sum, k) => {
    const u = toNumbers(upstream[k] as HostArray);
    return sum + toNumbers(found[k] as HostArray).reduce((s, y, i) => s + y * (u[i] as number), 0);
  }, 0);
  errors.loss = relativeError([total], [loss]);
  return errors;
}

export interface TorchTestOptions {
  /** Which cases take part; all by default. */
  readonly only?: (testCase: TorchCase) => boolean;
  readonly backends?: readonly TestBackend[];
}

/**
 * Declares one test per case and backend: outputs, loss and all gradients of the file within the
 * backend's tolerance.
 *
 *     testTorchFixture('silu', ({ x }) => ({ y: silu(x) }));
 */
export function testTorchFixture(
  file: string,
  operation: TorchOperation,
  { only = () => true, backends = testBackends() }: TorchTestOptions = {},
): void {
  const cases = readTorchFixture(file).cases.filter(only);
  if (cases.length === 0) throw new Error(`${file}: no case is left to test`);
  describe(`PyTorch: ${file}`, () => {
    for (const { name, tolerance, open } of backends) {
      describe(name, () => {
        let backend: Backend;
        beforeAll(async () => {
          backend = await open();
        });
        afterAll(async () => {
          await backend.dispose();
        });
        test.each(cases.map((c) => [c.name, c] as const))('%s', async (_, testCase) => {
          const errors = await torchErrors(testCase, operation, backend);
          const tooLarge = Object.entries(errors).filter(([, error]) => !(error <= tolerance));
          expect(tooLarge).toEqual([]);
        });
      });
    }
  });
}
