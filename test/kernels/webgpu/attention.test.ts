/**
 * Attention of the webgpu backend against its definition on the reference: lengths around the size of a
 * block, heads beside each other in memory, masks, causal order, and the backward pass.
 */
import {
  broadcastTo,
  fusedAttention,
  grad,
  type HostArray,
  hostArray,
  mul,
  reduceSum,
  simplify,
  trace,
  transpose,
  type Value,
} from '../../../src/autodiff/index.js';
import { type Backend, webgpuBackend } from '../../../src/kernels/index.js';
import { webgpuIsRequired, webgpuMissing } from '../../support/backends.js';
import { generator, uniformArray } from '../../support/draw.js';
import { checkTape } from '../checking.js';

const array = (seed: number, ...shape: number[]): HostArray =>
  uniformArray(generator(seed), shape, -1, 1);

(webgpuMissing === undefined || webgpuIsRequired ? describe : describe.skip)('attention', () => {
  let small: Backend;
  let large: Backend;
  beforeAll(async () => {
    small = await webgpuBackend({ lanes: 64 });
    large = await webgpuBackend({ lanes: 256 });
  });
  afterAll(() => Promise.all([small, large].map((b) => b.dispose())));

  const cases: readonly {
    note: string;
    queries: number;
    keys: number;
    depth: number;
    width: number;
    causal?: boolean;
    masked?: boolean;
    forwardOnly?: boolean;
    /** Blocks of 32 × 32 scores rather than 16 × 16. */
    large?: boolean;
  }[] = [
    { note: 'a block and one', queries: 33, keys: 33, depth: 16, width: 16, large: true },
    { note: 'causal', queries: 70, keys: 70, depth: 8, width: 8, causal: true },
    { note: 'more keys, causal', queries: 20, keys: 65, depth: 5, width: 7, causal: true },
    { note: 'more queries, causal', queries: 65, keys: 20, depth: 7, width: 5, causal: true },
    { note: 'masked', queries: 40, keys: 37, depth: 12, width: 20, masked: true },
    {
      note: 'masked and causal',
      queries: 40,
      keys: 40,
      depth: 4,
      width: 4,
      causal: true,
      masked: true,
    },
    { note: 'wide heads', queries: 9, keys: 10, depth: 68, width: 72 },
    { note: 'the widest heads', queries: 5, keys: 6, depth: 256, width: 130, forwardOnly: true },
    { note: 'one query', queries: 1, keys: 50, depth: 16, width: 16 },
  ];

  test.each(cases)('$note', async (given) => {
    const { queries, keys, depth, width, causal = false, masked } = given;
    const backend = given.large ? large : small;
    const [q, k, v] = [
      array(1, 2, queries, 3, depth),
      array(2, 2, keys, 3, depth),
      array(3, 2, keys, 3, width),
    ];
    const draw = generator(4);
    const mask = hostArray(
      Uint8Array.from({ length: queries * keys }, (_, i) => Number(i % keys === 0 || draw() < 0.5)),
      [queries, keys],
    );
    // Rows that see nothing give zeros.
    if (masked) for (let i = 0; i < keys; i++) mask.data[2 * keys + i] = 0;
    // Heads are an inner axis in memory: [2, T, 3, d] → [2, 3, T, d].
    const heads = (x: Value) => transpose(x, [0, 2, 1, 3]);
    const attend = (a: Value, b: Value, c: Value, m?: Value) =>
      fusedAttention(heads(a), heads(b), heads(c), {
        scale: 1 / Math.sqrt(depth),
        causal,
        mask: m && broadcastTo(m, [2, 3, queries, keys]),
      });
    const inputs = masked ? [q, k, v, mask] : [q, k, v];
    const forward = (a: Value, b: Value, c: Value, m?: Value) => {
      const { out, logSumExp } = attend(a, b, c, m);
      return masked ? out : [out, logSumExp];
    };
    const tape = simplify(trace(forward as (...xs: Value[]) => unknown, ...inputs));
    const executable = await backend.compile(tape);
    expect(executable.describe()).toMatch(/<- attention/);
    executable.dispose();
    await checkTape(backend, tape, inputs, 'forward');

    if (given.forwardOnly) return;
    const loss = (a: Value, b: Value, c: Value, m?: Value) => {
      const { out } = attend(a, b, c, m);
      return reduceSum(mul(out, mul(out, out)));
    };
    const backward = (a: Value, b: Value, c: Value, m?: Value) => [
      grad((x: Value) => loss(x, b, c, m))(a),
      grad((x: Value) => loss(a, x, c, m))(b),
      grad((x: Value) => loss(a, b, x, m))(c),
    ];
    await checkTape(
      backend,
      simplify(trace(backward as (...xs: Value[]) => unknown, ...inputs)),
      inputs,
      'backward',
    );
  });
});
