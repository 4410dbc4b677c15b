/** Tilings: what is possible, what is chosen without measuring, and what measuring remembers. */
import { floats, key, matmul, normal, trace, type Value } from '../../../src/autodiff/index.js';
import { webgpuBackend } from '../../../src/kernels/index.js';
import {
  isWorthTiles,
  lanesOf,
  TILES,
  type Tiling,
  tileBytes,
  tilingsOf,
} from '../../../src/kernels/webgpu/tiles.js';
import { webgpuIsRequired, webgpuMissing } from '../../support/backends.js';

const limits = { lanes: 256, workgroupBytes: 32768 };
const shape = {
  batch: 1,
  rows: 1024,
  columns: 1024,
  terms: 1024,
  products: 1,
  noise: { left: false, right: false },
};
const first = (given: Partial<typeof shape>) => tilingsOf({ ...shape, ...given }, limits)[0];

describe('without measuring', () => {
  test('large products take large tiles, skinny ones narrow tiles, long sums several parts', () => {
    expect(first({ rows: 4096, columns: 4096 })).toMatchObject({
      tile: { rows: 128, columns: 128 },
      parts: 1,
    });
    expect(first({ columns: 8, rows: 8192 })).toMatchObject({ tile: { columns: 8 } });
    expect(first({ rows: 8, columns: 8192 })).toMatchObject({ tile: { rows: 8 } });
    expect(first({ rows: 32, columns: 32, terms: 65536 })?.parts).toBeGreaterThan(4);
  });

  test('the side along which noise is drawn is kept short', () => {
    const large = { rows: 8192, columns: 4096 };
    expect(first({ ...large, noise: { left: false, right: true } })?.tile.rows).toBe(256);
    expect(first({ ...large, noise: { left: true, right: false } })?.tile.columns).toBe(256);
  });

  test('no tile is beyond the limits of a device', () => {
    for (const lanes of [64, 128, 256]) {
      for (const workgroupBytes of [8192, 16384, 32768]) {
        for (const { tile } of tilingsOf(shape, { lanes, workgroupBytes })) {
          expect(lanesOf(tile)).toBeLessThanOrEqual(lanes);
          expect(tileBytes(tile)).toBeLessThanOrEqual(workgroupBytes);
        }
      }
    }
    for (const tile of TILES) expect(tile.depth % 4).toBe(0);
    expect(isWorthTiles({ ...shape, rows: 1 })).toBe(false);
  });
});

(webgpuMissing === undefined || webgpuIsRequired ? describe : describe.skip)('measured', () => {
  const x = floats(new Float64Array(64 * 64), [64, 64]);
  const tape = trace(matmul, x, x);
  const small = floats(new Float64Array(16 * 16), [16, 16]);
  const described = async (kept: Map<string, string>, loads: string[]) => {
    const backend = await webgpuBackend({
      lanes: 64,
      tune: true,
      tuneFrom: 1,
      tuningStore: {
        load: async (name) => {
          loads.push(name);
          return kept.get(name);
        },
        save: async (name, value) => void kept.set(name, value),
      },
    });
    const before = backend.memory();
    const executable = await backend.compile(tape);
    const text = executable.describe();
    executable.dispose();
    // A second program asks nobody.
    (await backend.compile(tape)).dispose();
    expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
    await backend.dispose();
    return text;
  };

  test('products with noise are a class of their own', async () => {
    const kept = new Map<string, string>();
    const backend = await webgpuBackend({
      lanes: 64,
      tune: true,
      tuneFrom: 1,
      tuningStore: {
        load: async () => undefined,
        save: async (name, value) => void kept.set(name, value),
      },
    });
    const noisy = trace((a: Value, k: Value) => matmul(a, normal(k, [16, 16])), small, key(1));
    (await backend.compile(noisy)).dispose();
    expect([...kept.keys()]).toEqual([expect.stringMatching(/ f32 1x16x16x16x1 right noise$/)]);
    await backend.dispose();
  });

  test('the quickest is kept, loaded again, and asked for once', async () => {
    const kept = new Map<string, string>();
    const loads: string[] = [];
    const text = await described(kept, loads);
    expect(loads).toHaveLength(1);
    const [[name, value]] = [...kept] as [[string, string]];
    expect(name).toMatch(/ f32 1x64x64x64x1$/);
    const { tile } = JSON.parse(value) as Tiling;
    expect(text).toContain(`tile ${tile.rows} × ${tile.columns}`);
    // What is kept counts, whether it is the quickest or not.
    const other = TILES.find((t) => lanesOf(t) === 64 && t.rows !== tile.rows) as Tiling['tile'];
    const changed = new Map([[name, JSON.stringify({ tile: other, parts: 1 })]]);
    expect(await described(changed, [])).toContain(`tile ${other.rows} × ${other.columns}`);
    // What makes no sense is measured again.
    for (const broken of ['{', '{"tile":{"rows":3},"parts":1}']) {
      const again = new Map([[name, broken]]);
      await described(again, []);
      expect(again.get(name)).toMatch(/"depth"/);
    }
  });
});
