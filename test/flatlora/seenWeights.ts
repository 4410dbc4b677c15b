/** What the model sees of its weights under a loss transformer. */
import {
  asOperator,
  type HostArray,
  type Loss,
  type LossContext,
  type Value,
} from '../../src/autodiff/index.js';
import { adapt, lora } from '../../src/flatlora/index.js';
import { run, toNumbers } from '../support/numeric.js';
import {
  type Batch,
  initNetwork,
  makeBatch,
  networkLoss,
  randomAdapters,
  trainingContext,
} from './support.js';

// biome-ignore lint/suspicious/noExplicitAny: the adapters' type plays no part here.
export type AnyLoss = Loss<any, Batch>;

export const base = initNetwork(17);
export const batch = makeBatch(18);
export const method = lora({ rank: 2, alpha: 3, targetModules: ['first', 'second'] });
export const adapters = randomAdapters(19);
export const plain: AnyLoss = adapt(base, method)(networkLoss);

/** The weights that the model sees under a transformer, by name. */
export function seenWeights(
  transformer: (loss: AnyLoss) => AnyLoss,
  context: () => LossContext = trainingContext,
  from: { loss: AnyLoss; params: unknown } = { loss: plain, params: adapters },
): Record<string, number[]> {
  const names: string[] = [];
  const values = run(
    (p: never, b: Batch) => {
      const seen: Record<string, Value> = {};
      const spied: AnyLoss = (params, x, inner) =>
        from.loss(params, x, {
          ...inner,
          weight: (w, name, role) => {
            const out = inner.weight(w, name, role);
            seen[name] = asOperator(out).dense();
            return out;
          },
          vector: (x1, name) => {
            const out = inner.vector(x1, name);
            seen[name] = out;
            return out;
          },
        });
      transformer(spied)(p, b, context());
      names.push(...Object.keys(seen).sort());
      return names.map((name) => seen[name]);
    },
    from.params,
    batch,
  );
  return Object.fromEntries(names.map((name, i) => [name, toNumbers(values[i] as HostArray)]));
}

/** The transformer that changes nothing. */
export const same: (loss: AnyLoss) => AnyLoss = (loss) => loss;

/** Name by name, a − b. */
export const differences = (a: Record<string, number[]>, b: Record<string, number[]>) =>
  Object.fromEntries(
    Object.keys(a).map((name) => [
      name,
      (a[name] as number[]).map((x, i) => x - (b[name]?.[i] as number)),
    ]),
  );
