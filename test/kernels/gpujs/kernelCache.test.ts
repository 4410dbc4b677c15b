import type { Var } from '../../../src/autodiff/index.js';
import { kernelCache } from '../../../src/kernels/gpujs/kernelCache.js';

const source = { source: 'function (a) { return a[this.thread.x]; }', output: [2] };
const read = (size: number): Var => ({ id: 0, shape: [size], dtype: 'float' });

function counted(options?: { readonly keepsAll: boolean }) {
  const [made, gone]: [number[], number[]] = [[], []];
  const make = () => {
    const id = made.push(made.length) - 1;
    return Object.assign(() => id, { destroy: () => gone.push(id) });
  };
  return { cache: kernelCache(make, options), made, gone };
}

test('programs share a kernel; who uses it last takes it away', () => {
  const { cache, made, gone } = counted();
  const [first, second] = [cache(), cache()];
  const kernel = first.of({ ...source, usesNormalTable: false }, [read(2)]);
  expect(second.of({ ...source, usesNormalTable: false }, [read(2)])).toBe(kernel);
  expect(first.of({ ...source, usesNormalTable: false }, [read(2)])).toBe(kernel);
  expect(made).toHaveLength(1);
  first.release();
  first.release();
  expect(gone).toEqual([]);
  second.release();
  expect(gone).toEqual([0]);
  // Gone is gone: the next program gets another.
  expect(cache().of({ ...source, usesNormalTable: false }, [read(2)])).not.toBe(kernel);
});

test('the same text over operands of other sizes is another kernel', () => {
  const { cache, made } = counted();
  const program = cache();
  program.of({ ...source, usesNormalTable: false }, [read(2)]);
  program.of({ ...source, usesNormalTable: false }, [read(4)]);
  program.of({ ...source, output: [1], usesNormalTable: false }, [read(2)]);
  expect(made).toHaveLength(3);
});

test('where kernels must stay, they stay', () => {
  const { cache, made, gone } = counted({ keepsAll: true });
  const program = cache();
  program.of({ ...source, usesNormalTable: false }, [read(2)]);
  program.release();
  cache().of({ ...source, usesNormalTable: false }, [read(2)]);
  expect([made, gone]).toEqual([[0], []]);
});
