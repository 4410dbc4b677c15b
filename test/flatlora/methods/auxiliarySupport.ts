/** Helpers for tests of methods with auxiliary arrays. */
import {
  grad,
  type HostArray,
  key,
  type Loss,
  type LossContext,
  orThrow,
} from '../../../src/autodiff/index.js';
import { type AdapterMethod, adapt } from '../../../src/flatlora/index.js';
import { numbers, run } from '../../support/numeric.js';
import { type Batch, networkLoss, trainingContext } from '../support.js';
import { base, batch } from './laws.js';

// biome-ignore lint/suspicious/noExplicitAny: the adapters' type plays no part here.
export type AnyLoss = Loss<any, any>;
export type Tree = Readonly<Record<string, Readonly<Record<string, HostArray>>>>;
// biome-ignore lint/suspicious/noExplicitAny: the same.
export type AnyMethod = AdapterMethod<any>;

export const options = { rank: 2, alpha: 3, targetModules: ['first', 'second'] };
export const adaptedBy = (method: AnyMethod) =>
  adapt(base, method)(networkLoss as AnyLoss) as AnyLoss;
export const lossAt = (loss: AnyLoss, params: unknown, context: LossContext = trainingContext()) =>
  numbers((p: never, b: Batch) => loss(p, b, context), params, batch)[0] as number;
export const gradientAt = (loss: AnyLoss, params: unknown) =>
  run((p: never, b: Batch) => grad((q: never) => loss(q, b, trainingContext()))(p), params, batch);
export const startOf = (method: AnyMethod) => orThrow(method.init(base, key(5))).adapters as Tree;
export const withoutAuxiliary = (tree: Tree) =>
  Object.fromEntries(
    Object.entries(tree).map(([path, { a, b }]) => [path, { a, b }]),
  ) as unknown as Tree;
