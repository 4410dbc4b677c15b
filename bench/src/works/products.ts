/** Matrix products, the MLP and attention. */
import type { AttentionSpec, MatmulSpec, MlpSpec } from '../harness/job.js';
import { normals } from '../harness/random.js';
import type { Case, Effort } from './work.js';

/** Products of float32 numbers in another order of addition. */
const TOLERANCE = 1e-4;

function matmulCase(
  name: string,
  [m, k, n]: readonly [number, number, number],
  layout: 'nn' | 'nt' | 'tn' | 'tt' = 'nn',
): Case {
  const [transposeA, transposeB] = [layout[0] === 't', layout[1] === 't'];
  const spec: MatmulSpec = { kind: 'matmul', m, n, k, transposeA, transposeB };
  return {
    work: `matmul/${name}`,
    about: `[${m}, ${k}]${transposeA ? ' stored transposed' : ''} · [${k}, ${n}]${transposeB ? ' stored transposed' : ''}`,
    spec,
    tensors: () => ({
      a: normals(1, transposeA ? [k, m] : [m, k]),
      b: normals(2, transposeB ? [n, k] : [k, n]),
    }),
    tolerance: TOLERANCE,
  };
}

const square = (n: number): readonly [number, number, number] => [n, n, n];

export function matmulCases({ quick, gpu }: Effort): readonly Case[] {
  if (gpu) return quick ? [matmulCase('128', square(128))] : [matmulCase('4096', square(4096))];
  const sizes = quick ? [64, 128] : [256, 512, 1024, 2048];
  const layouts = quick ? 64 : 512;
  return [
    ...sizes.map((n) => matmulCase(`${n}`, square(n))),
    ...(['nt', 'tn', 'tt'] as const).map((layout) =>
      matmulCase(`${layouts}-${layout}`, square(layouts), layout),
    ),
    // Nothing divides a vector or a tile.
    ...(quick
      ? [matmulCase('61x67x59', [61, 67, 59])]
      : [matmulCase('509x521x503', [509, 521, 503]), matmulCase('1021x63x1019', [1021, 63, 1019])]),
  ];
}

export function mlpCases({ quick, gpu }: Effort): readonly Case[] {
  if (gpu) return [];
  const [rows, width, hidden] = quick ? [32, 16, 64] : [512, 256, 1024];
  const spec: MlpSpec = { kind: 'mlp', rows, width, hidden };
  return [
    {
      work: 'mlp',
      about: `${width} → ${hidden} → ${width} with ReLU on ${rows} rows: loss and all gradients`,
      spec,
      tensors: () => ({
        x: normals(1, [rows, width]),
        w1: normals(2, [hidden, width], 1 / Math.sqrt(width)),
        b1: normals(3, [hidden], 0.1),
        w2: normals(4, [width, hidden], 1 / Math.sqrt(hidden)),
        b2: normals(5, [width], 0.1),
        target: normals(6, [rows, width]),
      }),
      tolerance: TOLERANCE,
    },
  ];
}

export function attentionCases({ quick, gpu }: Effort): readonly Case[] {
  if (gpu) return [];
  const size = quick
    ? { batch: 2, tokens: 16, heads: 2, d: 8 }
    : { batch: 8, tokens: 256, heads: 4, d: 64 };
  const { batch, tokens, heads, d } = size;
  const shape = [batch, tokens, heads, d];
  return [true, false].map((causal) => {
    const spec: AttentionSpec = { kind: 'attention', ...size, causal };
    return {
      work: `attention/${causal ? 'causal' : 'full'}`,
      about: `${batch} × ${tokens} tokens, ${heads} heads of ${d}: output's product with g and the gradients of q, k, v`,
      spec,
      tensors: () => ({
        q: normals(1, shape),
        k: normals(2, shape),
        v: normals(3, shape),
        g: normals(4, shape),
      }),
      // The loss is a sum of terms of both signs: only 1/1000 of their size is left of it.
      tolerance: 1e-3,
    };
  });
}
