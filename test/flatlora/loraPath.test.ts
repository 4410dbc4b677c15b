import {
  grad,
  type HostArray,
  key,
  type Loss,
  type LossContext,
  simplify,
  trace,
} from '../../src/autodiff/index.js';
import {
  adapt,
  flat,
  fullFineTuning,
  type LoraOptions,
  lora,
  mergeTraced,
} from '../../src/flatlora/index.js';
import { inlineTape } from '../../src/kernels/index.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import {
  type Batch,
  HIDDEN,
  INPUTS,
  initNetwork,
  makeBatch,
  networkLoss,
  randomAdapters,
  trainingContext,
} from './support.js';

const base = initNetwork(7);
const batch = makeBatch(8);
const options: LoraOptions = { rank: 2, alpha: 3, targetModules: ['first', 'second'] };
const method = lora(options);
const adapters = randomAdapters(9);

describe('the low-rank path', () => {
  const adapted = adapt(base, method)(networkLoss);
  const gradientTape = (loss: typeof adapted) =>
    inlineTape(
      simplify(
        trace(
          grad((p: never, b: Batch) => loss(p, b, trainingContext())),
          adapters,
          batch,
        ),
      ),
    );
  const shapesOf = (tape: ReturnType<typeof gradientTape>, name: string) =>
    tape.equations.filter((e) => e.primitive.name === name).map((e) => e.outputs[0]?.shape.join());

  test('no product has the shape of a frozen weight: neither B·A nor dW is formed', () => {
    for (const loss of [adapted, flat({ sigma: 0.1 })(adapted)]) {
      const products = shapesOf(gradientTape(loss), 'dot');
      expect(products).toContain(`2,${INPUTS}`);
      expect(products).not.toContain(`${HIDDEN},${INPUTS}`);
    }
    // The same look at full fine-tuning does find dW.
    const full = adapt(base, fullFineTuning())(networkLoss);
    const tape = inlineTape(
      simplify(
        trace(
          grad((p: never, b: Batch) => full(p, b, trainingContext())),
          base,
          batch,
        ),
      ),
    );
    expect(shapesOf(tape, 'dot')).toContain(`${HIDDEN},${INPUTS}`);
  });

  test('noise is made once and kept within the step; on request it is made again instead', () => {
    const draws = (recompute: boolean) =>
      shapesOf(gradientTape(flat({ sigma: 0.1, recompute })(adapted)), 'randomNormal');
    const count = (made: readonly (string | undefined)[], shape: string) =>
      made.filter((s) => s === shape).length;
    const [kept, again] = [draws(false), draws(true)];
    // The first layer's input needs no gradient: once. The second: forward and backward.
    expect([kept, again].map((made) => count(made, `${HIDDEN},${INPUTS}`))).toEqual([1, 1]);
    expect([kept, again].map((made) => count(made, `5,${HIDDEN}`))).toEqual([1, 2]);
  });

  test('keeping or making again changes no bit', () => {
    const gradientOf = (recompute: boolean) =>
      run(
        (p: never, b: Batch) =>
          grad(flat({ sigma: 0.1, recompute })(adapted))(p, b, trainingContext()),
        adapters,
        batch,
      ).map(toNumbers);
    expect(gradientOf(true)).toEqual(gradientOf(false));
  });

  test('constants are the base itself: nothing of the noise is kept between steps', () => {
    const tape = gradientTape(flat({ sigma: 0.1 })(adapted));
    const held = tape.equations
      .filter((e) => e.primitive.name === 'constant')
      .map((e) => e.params.value);
    for (const weight of [base.first.weight, base.second.weight]) {
      expect(held.filter((v) => v === weight)).toHaveLength(1);
    }
    const sizes = held.filter((v: HostArray) => v.size > 2).map((v: HostArray) => v.shape.join());
    expect(sizes.sort()).toEqual(
      [`${HIDDEN},${INPUTS}`, `5,${HIDDEN}`, `${HIDDEN}`, `${HIDDEN}`, '5'].sort(),
    );
  });

  test('gradients agree with those of the merged weights by the chain rule', () => {
    const gradient = run(
      (p: never, b: Batch) => grad(adapted)(p, b, trainingContext()),
      adapters,
      batch,
    );
    const dense: Loss<never, Batch> = (p, b, context) =>
      networkLoss(mergeTraced(base, method)(p) as never, b, context);
    const chained = run(
      (p: never, b: Batch) => grad(dense)(p, b, trainingContext()),
      adapters,
      batch,
    );
    gradient.forEach((g, i) => {
      expect(relativeError(toNumbers(g), toNumbers(chained[i] as HostArray))).toBeLessThan(1e-12);
    });
  });

  test('a base of traced values gives the same as one of host arrays', () => {
    const traced = numbers(
      (w: unknown, p: never, b: Batch) =>
        flat({ sigma: 0.2 })(adapt(w, method)(networkLoss))(p, b, trainingContext()),
      base,
      adapters,
      batch,
    );
    const host = numbers(
      (p: never, b: Batch) => flat({ sigma: 0.2 })(adapted)(p, b, trainingContext()),
      adapters,
      batch,
    );
    expect(relativeError(traced, host)).toBeLessThan(1e-12);
  });
});

describe('dropout on the input of A', () => {
  const loss = (rate: number, context: () => LossContext) =>
    numbers(
      (p: never, b: Batch) =>
        adapt(base, lora({ ...options, dropout: rate }))(networkLoss)(p, b, context()),
      adapters,
      batch,
    )[0];
  const withSample = (n: number) => () => trainingContext({ sample: key(n) });
  const evaluation = () => ({ ...trainingContext(), training: false });

  test('is drawn from the sample key, in training only', () => {
    expect(loss(0.5, withSample(1))).toBe(loss(0.5, withSample(1)));
    expect(loss(0.5, withSample(1))).not.toBe(loss(0.5, withSample(2)));
    expect(loss(0.5, withSample(1))).not.toBe(loss(0, withSample(1)));
    expect(loss(0.5, evaluation)).toBe(loss(0, evaluation));
  });
});
