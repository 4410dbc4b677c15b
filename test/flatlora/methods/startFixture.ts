/** The network, statistics and starts that `scripts/fixtures/data_driven_starts.py` wrote. */
import type { HostArray } from '../../../src/autodiff/index.js';
import { readTorchFixture, type TorchFixture } from '../../support/torchFixtures.js';

type Layers<A> = Readonly<Record<'first' | 'second', A>>;

interface StartFixture extends TorchFixture<never> {
  readonly attrs: { readonly rank: number; readonly alpha: number; readonly gamma: number };
  readonly weights: Layers<HostArray>;
  readonly biases: Layers<HostArray>;
  readonly scale: HostArray;
  readonly batches: readonly { readonly x: HostArray; readonly y: HostArray }[];
  readonly gradients: Layers<HostArray>;
  readonly covariances: Layers<HostArray>;
  /** |A|, |B| and W − s·B·A where that does not depend on signs. */
  readonly starts: Readonly<
    Record<string, Layers<{ a: HostArray; b: HostArray; residual?: HostArray }>>
  >;
}

export const golden = readTorchFixture<never>('data_driven_starts') as StartFixture;

const { weights, biases, scale, attrs } = golden;
export const goldenBase = {
  first: { weight: weights.first, bias: biases.first },
  scale,
  second: { weight: weights.second, bias: biases.second },
};
export const goldenOptions = {
  rank: attrs.rank,
  alpha: attrs.alpha,
  targetModules: ['first', 'second'],
};
export const byPath = ({ first, second }: Layers<HostArray>) => ({
  'first.weight': first,
  'second.weight': second,
});
