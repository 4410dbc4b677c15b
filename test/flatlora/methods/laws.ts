/** What every method that re-parametrises a layer must do; declared as tests. */
import {
  flatten,
  grad,
  type HostArray,
  hostArray,
  type Loss,
  orThrow,
  printTape,
  trace,
  treeMap,
} from '../../../src/autodiff/index.js';
import {
  type AdapterMethod,
  adapt,
  flat,
  fullFineTuning,
  mergeTraced,
} from '../../../src/flatlora/index.js';
import {
  derivativeAtZero,
  inner,
  moved,
  numbers,
  relativeError,
  run,
  toNumbers,
} from '../../support/numeric.js';
import {
  type Batch,
  gaussian,
  initNetwork,
  makeBatch,
  networkLoss,
  seeded,
  trainingContext,
} from '../support.js';

// biome-ignore lint/suspicious/noExplicitAny: the adapters' type plays no part here.
type AnyLoss = Loss<any, any>;
// biome-ignore lint/suspicious/noExplicitAny: the same.
type AnyMethod = AdapterMethod<any>;

export const base = initNetwork(71);
export const batch = makeBatch(72);

/** Adapters some way from a start, by the sizes of `step`. */
export const trainedFrom = (start: unknown, seed = 73, step = 0.2): unknown => {
  let n = 0;
  return treeMap((x: HostArray) => {
    n += 1;
    return moved(x, gaussian(seeded(seed, n), x.shape), step);
  }, start);
};

/** A tree in float32. */
export const single = <T>(tree: T): T =>
  treeMap((x: HostArray) => hostArray(Float32Array.from(toNumbers(x)), x.shape), tree) as T;

const lossAt = (loss: AnyLoss, params: unknown): number =>
  numbers((p: never, b: Batch) => loss(p, b, trainingContext()), params, batch)[0] as number;

/** @param frozen the base that belongs to the adapters (what `init` gave). */
export function testMethodLaws(
  method: AnyMethod,
  frozen: unknown,
  adapters: unknown,
  { differentiable = true } = {},
): void {
  const loss = adapt(frozen, method)(networkLoss as AnyLoss) as AnyLoss;

  if (differentiable) {
    test('the gradient is that of finite differences', () => {
      const gradient = run(
        (p: never, b: Batch) => grad((q: never) => loss(q, b, trainingContext()))(p),
        adapters,
        batch,
      );
      const { leaves } = flatten<HostArray>(adapters);
      const directions = leaves.map((x, i) => gaussian(seeded(74, i), x.shape));
      const numeric = derivativeAtZero((h) => {
        let n = -1;
        return lossAt(
          loss,
          treeMap((x: HostArray) => {
            n += 1;
            return moved(x, directions[n] as HostArray, h);
          }, adapters),
        );
      });
      const exact = gradient.reduce((s, g, i) => s + inner(g, directions[i] as HostArray), 0);
      expect(Math.abs(exact)).toBeGreaterThan(1e-3);
      expect(Math.abs(numeric - exact)).toBeLessThan(1e-8 * Math.max(1, Math.abs(exact)));
    });
  }

  test('merged weights give the loss of the adapted model, on the host and in a program', () => {
    const merged = orThrow(method.merge(frozen, adapters));
    const [adapted, plain] = [lossAt(loss, adapters), lossAt(networkLoss as AnyLoss, merged)];
    expect(relativeError([adapted], [plain])).toBeLessThan(1e-12);
    const inProgram = run((p: never) => mergeTraced(frozen, method)(p), adapters);
    flatten<HostArray>(merged).leaves.forEach((x, i) => {
      expect(relativeError(toNumbers(x), toNumbers(inProgram[i] as HostArray))).toBeLessThan(1e-12);
    });
  });

  test('composes with flat', () => {
    const tapeOf = (f: AnyLoss) =>
      printTape(trace((p: never, b: Batch) => f(p, b, trainingContext()), adapters, batch));
    expect(tapeOf(flat({ sigma: 0 })(loss))).toBe(tapeOf(loss));
    // Eq. 7 looks at the merged weights alone, and layers pick their noise by name.
    const merged = orThrow(method.merge(frozen, adapters));
    const ofMerged = adapt(merged, fullFineTuning())(networkLoss as AnyLoss) as AnyLoss;
    for (const recompute of [false, true]) {
      const noise = flat({ sigma: 0.3, recompute });
      const [noisy, expected] = [lossAt(noise(loss), adapters), lossAt(noise(ofMerged), merged)];
      expect(Math.abs(noisy - lossAt(loss, adapters))).toBeGreaterThan(1e-4);
      expect(relativeError([noisy], [expected])).toBeLessThan(1e-10);
    }
  });

  test('saved and read', () => {
    expect(orThrow(method.fromArrays(frozen, method.toArrays(adapters)))).toEqual(adapters);
  });
}
