/** PyTorch's LoRA-SAM step on every backend. */
import {
  add,
  asOperator,
  type HostArray,
  mean,
  square,
  sub,
  valueAndGrad,
} from '../../src/autodiff/index.js';
import { adapt, lora, sam } from '../../src/flatlora/index.js';
import { evaluate } from '../../src/kernels/index.js';
import { testBackends } from '../support/backends.js';
import { relativeError, toNumbers } from '../support/numeric.js';
import { readTorchFixture } from '../support/torchFixtures.js';
import type { AnyLoss } from './seenWeights.js';
import { trainingContext } from './support.js';

interface SamCase {
  readonly name: string;
  readonly attrs: { readonly rho: number; readonly alpha: number; readonly r: number };
  readonly inputs: Readonly<Record<'x' | 'y' | 'W' | 'bias' | 'A' | 'B', HostArray>>;
  readonly perturbed_loss: number;
  readonly sam_grad_A: HostArray;
  readonly sam_grad_B: HostArray;
}

describe.each(testBackends().map((b) => [b.name, b] as const))(
  'PyTorch: lora_sam on %s',
  (_, b) => {
    const { cases } = readTorchFixture<SamCase>('lora_sam');
    test.each(cases.map((c) => [c.name, c] as const))('%s', async (__, c) => {
      const { x, y, W, bias, A, B } = c.inputs;
      const squaredError: AnyLoss = (weights, data) =>
        mean(
          square(
            sub(add(asOperator(weights.layer.weight).apply(data.x), weights.layer.bias), data.y),
          ),
        );
      const method = lora({ rank: c.attrs.r, alpha: c.attrs.alpha, targetModules: ['layer'] });
      const loss = sam({ rho: c.attrs.rho })(
        adapt({ layer: { weight: W, bias } }, method)(squaredError) as AnyLoss,
      );
      const backend = await b.open();
      const { value, gradient } = (await evaluate(
        (p: never, data: never) =>
          valueAndGrad((q: never) => loss(q, data, trainingContext()))(p) as never,
        backend,
        { 'layer.weight': { a: A, b: B } } as never,
        { x, y } as never,
      )) as unknown as {
        value: HostArray;
        gradient: { 'layer.weight': { a: HostArray; b: HostArray } };
      };
      await backend.dispose();
      const { a, b: forB } = gradient['layer.weight'];
      expect(relativeError([value.get()], [c.perturbed_loss])).toBeLessThan(b.tolerance);
      expect(relativeError(toNumbers(a), toNumbers(c.sam_grad_A))).toBeLessThan(b.tolerance);
      expect(relativeError(toNumbers(forB), toNumbers(c.sam_grad_B))).toBeLessThan(b.tolerance);
    });
  },
);
