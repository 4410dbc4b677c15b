/** Methods with auxiliary arrays: what is trained, what is saved, what each perturbs. */
import {
  asOperator,
  flatten,
  grad,
  type HostArray,
  key,
  neg,
  orThrow,
  roundTo,
  treeMap,
  type Value,
} from '../../../src/autodiff/index.js';
import { biLora, efmLora, flat, ggpo, lora, mgpo, sam } from '../../../src/flatlora/index.js';
import { adamW, type GradientTransformation, sgd } from '../../../src/optimisers/index.js';
import {
  derivativeAtZero,
  floats,
  inner,
  moved,
  numbers,
  relativeError,
  run,
  toNumbers,
} from '../../support/numeric.js';
import { type Batch, gaussian, networkLoss, seeded, trainingContext } from '../support.js';
import {
  type AnyLoss,
  type AnyMethod,
  adaptedBy,
  gradientAt,
  lossAt,
  options,
  startOf,
  type Tree,
  withoutAuxiliary,
} from './auxiliarySupport.js';
import { base, batch, trainedFrom } from './laws.js';

const METHODS: readonly (readonly [string, AnyMethod])[] = [
  ['biLora', biLora({ ...options, auxiliaryRank: 2 })],
  ['efmLora', efmLora(options)],
  ['mgpo', mgpo(options)],
  ['ggpo', ggpo(options)],
];

/** One step of the method's optimiser, with the gradient of the loss, on the reference. */
function stepped(method: AnyMethod, inner: GradientTransformation, params: Tree): Tree {
  const optimiser = method.optimiser(inner, { totalSteps: 10 });
  const loss = adaptedBy(method);
  const state = optimiser.init(params);
  const { paths } = flatten(params);
  const updates = run(
    (p: never, s: never, step: Value, b: Batch) => {
      const gradients = grad((q: never) => loss(q, b, trainingContext()))(p);
      return optimiser.update(gradients as never, s, p, { step, refresh: false }).updates;
    },
    params,
    state,
    floats([3], []),
    batch,
  );
  return treeMap(
    (x: HostArray, path) => moved(x, updates[paths.indexOf(path)] as HostArray, 1),
    params,
  ) as unknown as Tree;
}

describe.each(METHODS)('%s', (name, method) => {
  const trained = trainedFrom(startOf(method)) as Tree;
  const loss = adaptedBy(method);

  test('outside training, merged, and saved it is plain LoRA', () => {
    const plain = lora(options);
    const evaluation = { ...trainingContext(), training: false };
    const evaluated = lossAt(loss, trained, evaluation);
    expect(evaluated).toBe(lossAt(adaptedBy(plain), withoutAuxiliary(trained), evaluation));
    expect(orThrow(method.merge(base, trained))).toEqual(
      orThrow(plain.merge(base, withoutAuxiliary(trained) as never)),
    );
    const merged = lossAt(networkLoss as AnyLoss, orThrow(method.merge(base, trained)));
    expect(relativeError([merged], [evaluated])).toBeLessThan(1e-12);
    const saved = method.toArrays(trained);
    expect(saved).toEqual(plain.toArrays(withoutAuxiliary(trained) as never));
    const read = orThrow(method.fromArrays(base, saved)) as Tree;
    expect(withoutAuxiliary(read)).toEqual(withoutAuxiliary(trained));
    expect(flatten(read).paths).toEqual(flatten(trained).paths);
    // In training it is not LoRA.
    expect(Math.abs(lossAt(loss, trained) - evaluated)).toBeGreaterThan(1e-4);
  });

  test('training starts at the base', () => {
    const given = lossAt(loss, startOf(method));
    const expected = lossAt(networkLoss as AnyLoss, base);
    // GGPO perturbs from the first step on.
    if (name === 'ggpo') expect(given).not.toBe(expected);
    else expect(given).toBe(expected);
  });

  test('the gradient of A and B is that of finite differences', () => {
    // Perturbations are constants of the differentiation, but for Bi-LoRA, whose ascent needs them. So
    // is GGPO's noise, whose size moves with A and B: its gradient has a test of its own.
    if (name === 'ggpo') return;
    const { leaves, paths } = flatten<HostArray>(trained);
    const gradient = gradientAt(loss, trained);
    const followed = (path: string) => name === 'biLora' || !path.includes('auxiliary');
    const directions = leaves.map((x, i) =>
      gaussian(seeded(74, i), x.shape, followed(paths[i] as string) ? 1 : 0),
    );
    const numeric = derivativeAtZero((h) => {
      const at = treeMap(
        (x: HostArray, path) => moved(x, directions[paths.indexOf(path)] as HostArray, h),
        trained,
      );
      return lossAt(loss, at);
    });
    const exact = gradient.reduce((s, g, i) => s + inner(g, directions[i] as HostArray), 0);
    expect(Math.abs(exact)).toBeGreaterThan(1e-3);
    expect(Math.abs(numeric - exact)).toBeLessThan(1e-8 * Math.max(1, Math.abs(exact)));
    if (name === 'biLora') return;
    gradient.forEach((g, i) => {
      const path = paths[i] as string;
      if (path.includes('auxiliary'))
        expect([path, Math.max(...toNumbers(g).map(Math.abs))]).toEqual([path, 0]);
    });
  });

  test('in half precision the model sees rounded weights', () => {
    const denseAt = (transform: (loss: AnyLoss) => AnyLoss) =>
      run(
        (p: never, b: Batch) => {
          const seen: Value[] = [];
          const spied: AnyLoss = (params, x, context) =>
            loss(params, x, {
              ...context,
              weight: (w, layer, role) => {
                const out = context.weight(w, layer, role);
                seen.push(asOperator(out).dense());
                return out;
              },
            });
          transform(spied)(p, b, trainingContext());
          return seen;
        },
        trained,
        batch,
      ).flatMap(toNumbers);
    const given = denseAt(flat({ sigma: 0, precision: 'bfloat16' }));
    const size = given.length;
    const exact = denseAt((l) => l);
    // flat hands on another key, so GGPO's noise is another; rounding is seen in the numbers themselves.
    const rounded = (x: readonly number[]) =>
      numbers((v: Value) => roundTo(v, 'bfloat16'), floats([...x], [size]));
    expect(given).toEqual(rounded(given));
    expect(exact).not.toEqual(rounded(exact));
    if (name !== 'ggpo') expect(given).toEqual(rounded(exact));
  });

  test('the inner optimiser sees A and B alone; weight decay leaves the rest', () => {
    const seen: string[] = [];
    const spy: GradientTransformation = {
      stateSize: 0,
      init: () => [],
      update: (updates, state) => {
        seen.push(...flatten(updates).paths);
        return { updates: treeMap((g: Value) => neg(g), updates) as never, state };
      },
    };
    stepped(method, spy, trained);
    expect(new Set(seen.map((path) => path.slice(path.lastIndexOf('.') + 1)))).toEqual(
      new Set(['a', 'b']),
    );
    const rate = { learningRate: 0.1 };
    const [plain, decayed] = [
      stepped(method, adamW(rate), trained),
      stepped(method, adamW({ ...rate, weightDecay: 3 }), trained),
    ];
    for (const [path, parts] of Object.entries(plain)) {
      for (const part of Object.keys(parts)) {
        const [x, y] = [plain, decayed].map((t) => toNumbers(t[path]?.[part] as HostArray));
        if (part.startsWith('auxiliary')) expect(x).toEqual(y);
        else expect(x).not.toEqual(y);
      }
    }
  });

  test('SAM and flat over the factors leave auxiliary arrays alone', () => {
    for (const transform of [sam({ rho: 0.3 }), flat({ sigma: 0.5, on: 'factors' })]) {
      const seen: unknown[] = [];
      const spied: AnyLoss = (params, b, context) => {
        seen.push(params);
        return loss(params, b, context);
      };
      const values = run(
        (p: never, b: Batch) => {
          transform(spied)(p, b, trainingContext());
          return seen.at(-1);
        },
        trained,
        batch,
      );
      const { leaves, paths } = flatten<HostArray>(trained);
      leaves.forEach((x, i) => {
        const [given, before] = [toNumbers(values[i] as HostArray), toNumbers(x)];
        if ((paths[i] as string).includes('auxiliary')) expect(given).toEqual(before);
        else expect(given).not.toEqual(before);
      });
    }
  });
});

describe('Bi-LoRA', () => {
  const method = biLora({ ...options, auxiliaryRank: 2, rho: 0.5 });
  const sizeOf = (tree: Tree) =>
    Math.sqrt(
      Object.values(tree).reduce((sum, { auxiliaryA, auxiliaryB }) => {
        const [a, b] = [auxiliaryA as HostArray, auxiliaryB as HostArray];
        const [m, r, n] = [b.shape[0] as number, b.shape[1] as number, a.shape[1] as number];
        let total = sum;
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            let dot = 0;
            for (let k = 0; k < r; k++) dot += b.get(i, k) * a.get(k, j);
            total += dot * dot;
          }
        }
        return total;
      }, 0),
    );

  test('the second pair climbs, inside the ball of radius ρ', () => {
    const start = startOf(method);
    const once = stepped(method, sgd({ learningRate: 0.05 }), start);
    const climbed = { ...start } as Record<string, Record<string, HostArray>>;
    for (const [path, parts] of Object.entries(once)) {
      const { auxiliaryA, auxiliaryB } = parts as Record<string, HostArray>;
      climbed[path] = { ...start[path], auxiliaryA, auxiliaryB } as Record<string, HostArray>;
    }
    const loss = adaptedBy(method);
    expect(sizeOf(once)).toBeLessThan(0.5);
    expect(lossAt(loss, climbed)).toBeGreaterThan(lossAt(loss, start));
    const far = stepped(method, sgd({ learningRate: 50 }), start);
    expect(sizeOf(far)).toBeCloseTo(0.5, 10);
  });
});

test('adapters of another method are refused by the optimiser', () => {
  const optimiser = efmLora(options).optimiser(sgd({ learningRate: 1 }), { totalSteps: 10 });
  const plain = orThrow(lora(options).init(base, key(5))).adapters;
  expect(() => optimiser.init(plain)).toThrow(/efm-lora: "first.weight" has a, b, expected/);
});

test('options out of range are errors', () => {
  expect(() => biLora({ ...options, rho: 0 })).toThrow(/biLora: rho is 0/);
  expect(() => biLora({ ...options, auxiliaryRank: 1.5 })).toThrow(/auxiliaryRank is 1.5/);
  expect(() => efmLora({ ...options, beta: 1 })).toThrow(/efmLora: beta is 1/);
  expect(() => mgpo({ ...options, momentum: 1.2 })).toThrow(/mgpo: momentum is 1.2/);
  expect(() => ggpo({ ...options, sigma: -1 })).toThrow(/ggpo: sigma is -1/);
});
