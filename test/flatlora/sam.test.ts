/** Sharpness-aware minimisation over factors and weights: PyTorch's numbers, Eq. 5, laws. */
import {
  add,
  asOperator,
  constant,
  grad,
  type HostArray,
  type Loss,
  mean,
  orThrow,
  square,
  sub,
  trace,
  type Value,
  valueAndGrad,
} from '../../src/autodiff/index.js';
import {
  adapt,
  flat,
  fullFineTuning,
  lora,
  type SamOptions,
  sam,
} from '../../src/flatlora/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { readTorchFixture } from '../support/torchFixtures.js';
import { frobenius, lastWeight, type Matrix, matrixOf, plus, scaledBy } from './matrices.js';
import type { AnyLoss } from './seenWeights.js';
import {
  type Batch,
  gaussian,
  INPUTS,
  initNetwork,
  makeBatch,
  networkLoss,
  OUTPUTS,
  randomAdapters,
  seeded,
  trainingContext,
} from './support.js';

const base = initNetwork(27);
const batch = makeBatch(28);
const adapters = randomAdapters(29);
const plain: AnyLoss = adapt(
  base,
  lora({ rank: 2, alpha: 2, targetModules: ['first', 'second'] }),
)(networkLoss);
const lossOf = (loss: AnyLoss) =>
  numbers((p: never, b: Batch) => loss(p, b, trainingContext()), adapters, batch)[0] as number;
const gradientOf = (loss: AnyLoss) =>
  run(
    (p: never, b: Batch) => grad((q: never) => loss(q, b, trainingContext()))(p),
    adapters,
    batch,
  ).flatMap(toNumbers);

describe('PyTorch: lora_sam', () => {
  interface SamCase {
    readonly name: string;
    readonly attrs: { rho: number; alpha: number; r: number; sgd_lr: number };
    readonly inputs: Readonly<Record<'x' | 'y' | 'W' | 'bias' | 'A' | 'B', HostArray>>;
    readonly loss: number;
    readonly perturbed_loss: number;
    readonly grad_A: HostArray;
    readonly sam_grad_A: HostArray;
    readonly sam_grad_B: HostArray;
    readonly A_after_sgd_step: HostArray;
    readonly B_after_sgd_step: HostArray;
  }
  const { cases } = readTorchFixture<SamCase>('lora_sam');
  test.each(cases.map((c) => [c.name, c] as const))('%s', (_, c) => {
    const { x, y, W, bias, A, B } = c.inputs;
    const linear: AnyLoss = (weights, data) =>
      mean(
        square(
          sub(add(asOperator(weights.layer.weight).apply(data.x), weights.layer.bias), data.y),
        ),
      );
    const task = adapt(
      { layer: { weight: W, bias } },
      lora({ rank: c.attrs.r, alpha: c.attrs.alpha, targetModules: ['layer'] }),
    )(linear);
    const at = (loss: Loss<never, Batch>) =>
      run(
        (p: never, b: Batch) => {
          const { value, gradient } = valueAndGrad((q: never) => loss(q, b, trainingContext()))(p);
          return [value, gradient];
        },
        { 'layer.weight': { a: A, b: B } },
        { x, y },
      ) as [HostArray, HostArray, HostArray];
    const [loss, gradA] = at(task as never);
    expect(relativeError([loss.get()], [c.loss])).toBeLessThan(1e-10);
    expect(relativeError(toNumbers(gradA), toNumbers(c.grad_A))).toBeLessThan(1e-10);
    const [perturbed, samA, samB] = at(sam({ rho: c.attrs.rho })(task as never));
    expect(relativeError([perturbed.get()], [c.perturbed_loss])).toBeLessThan(1e-10);
    expect(relativeError(toNumbers(samA), toNumbers(c.sam_grad_A))).toBeLessThan(1e-10);
    expect(relativeError(toNumbers(samB), toNumbers(c.sam_grad_B))).toBeLessThan(1e-10);
    const stepped = (p: HostArray, g: HostArray) =>
      toNumbers(p).map((v, i) => v - c.attrs.sgd_lr * (toNumbers(g)[i] as number));
    expect(relativeError(stepped(A, samA), toNumbers(c.A_after_sgd_step))).toBeLessThan(1e-10);
    expect(relativeError(stepped(B, samB), toNumbers(c.B_after_sgd_step))).toBeLessThan(1e-10);
  });
});

describe('SAM over the weights (Eq. 5)', () => {
  const rho = 0.4;
  const names = ['first.weight', 'second.weight'];

  test('W′ moves by ρ·G/‖G‖, all adapted layers together', () => {
    const before = names.map((name) => lastWeight(plain, (l) => l, adapters, name, batch));
    const after = names.map((name) =>
      lastWeight(
        plain,
        (l) => (p, b, c) => {
          // The weights that the model sees stand behind the transformer's own hook: look inside.
          const spied: AnyLoss = (q, d, inner) =>
            l(q, d, {
              ...inner,
              weight: (w, layer, role) => c.weight(inner.weight(w, layer, role), layer, role),
            });
          return sam({ over: 'weights', rho })(spied)(p, b, trainingContext());
        },
        adapters,
        name,
        batch,
      ),
    );
    const moved = after.map((w, i) => plus(w, scaledBy(-1, before[i] as Matrix)));
    expect(Math.hypot(...moved.map(frobenius))).toBeCloseTo(rho, 10);
    const merged = orThrow(
      lora({ rank: 2, alpha: 2, targetModules: ['first', 'second'] }).merge(base, adapters),
    );
    const full = run(
      (w: never, b: Batch) => grad((v: never) => networkLoss(v, b, trainingContext()))(w),
      merged,
      batch,
    );
    const G = [matrixOf(full[1] as HostArray), matrixOf(full[4] as HostArray)];
    const norm = Math.hypot(...G.map(frobenius));
    G.forEach((g, i) => {
      expect(
        relativeError((moved[i] as Matrix).flat(), scaledBy(rho / norm, g).flat()),
      ).toBeLessThan(1e-10);
    });
  });

  test('raises the loss, as does SAM over the factors', () => {
    const rise = (options: SamOptions) => lossOf(sam(options)(plain)) - lossOf(plain);
    expect(rise({ over: 'weights', rho: 0.1 })).toBeGreaterThan(0);
    expect(rise({ over: 'factors', rho: 0.1 })).toBeGreaterThan(0);
  });

  test('full fine-tuning: both spaces are one when every parameter is a matrix', () => {
    const matrices = { layer: { weight: gaussian(seeded(36), [OUTPUTS, INPUTS]) } };
    const loss = adapt(
      matrices,
      fullFineTuning(),
    )((w: never, b: Batch) =>
      mean(
        square(sub(asOperator((w as { layer: { weight: Value } }).layer.weight).apply(b.x), b.y)),
      ),
    ) as AnyLoss;
    const at = (over: 'factors' | 'weights') =>
      run(
        (p: never, b: Batch) =>
          grad((q: never) => sam({ over, rho: 0.3 })(loss)(q, b, trainingContext()))(p),
        matrices,
        batch,
      ).flatMap(toNumbers);
    expect(relativeError(at('weights'), at('factors'))).toBeLessThan(1e-12);
  });
});

describe('laws', () => {
  test.each([0, -1, Number.NaN])('ρ = %d is refused', (rho) => {
    expect(() => sam({ rho })).toThrow(`sam: rho is ${rho}, expected a number > 0`);
  });

  test('a loss without adapted weights is an error', () => {
    expect(() =>
      trace(
        (w: never, b: Batch) => sam({ over: 'weights' })(networkLoss)(w, b, trainingContext()),
        base,
        batch,
      ),
    ).toThrow(/put adapt\(base, method\) before sam/);
  });

  test('at a stationary point nothing is perturbed', () => {
    const flatLoss: AnyLoss = () => constant(floats([3], []));
    expect(lossOf(sam({ rho: 1 })(flatLoss))).toBe(3);
  });

  test.each(['factors', 'weights'] as const)('flat and sam over the %s commute', (over) => {
    const [s, f] = [sam({ over, rho: 0.2 }), flat({ sigma: 0.3 })];
    expect(relativeError([lossOf(s(f(plain)))], [lossOf(f(s(plain)))])).toBeLessThan(1e-12);
    expect(relativeError(gradientOf(s(f(plain))), gradientOf(f(s(plain))))).toBeLessThan(1e-10);
    expect(relativeError(gradientOf(s(f(plain))), gradientOf(s(plain)))).toBeGreaterThan(1e-3);
    // With several samples they do not: one ascent for all draws, or one for each.
    const many = flat({ sigma: 0.3, samples: 2 });
    expect(relativeError(gradientOf(s(many(plain))), gradientOf(many(s(plain))))).toBeGreaterThan(
      1e-6,
    );
  });
});
