/** The hand-assembled loops by which the machine's limit is measured. */
import { FLOPS_PER_ROUND, simdModule } from '../../bench/src/peak/simdModule.js';

test('the plain loop is a valid module and computes what it should', () => {
  const bytes = simdModule(false);
  expect(WebAssembly.validate(bytes)).toBe(true);
  const { run } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as {
    run: (rounds: number) => number;
  };
  // Every chain starts at 0 and approaches y / (1 − x) = 1; the ten are added up.
  const chain = (rounds: number) => {
    const [x, y] = [Math.fround(0.999), Math.fround(0.001)];
    let acc = 0;
    for (let i = 0; i < rounds; i++) acc = Math.fround(Math.fround(acc * x) + y);
    return acc;
  };
  expect(run(1)).toBeCloseTo(10 * chain(1), 6);
  expect(run(1000)).toBeCloseTo(10 * chain(1000), 4);
});

test('the relaxed loop differs from it in the multiply-adds alone', () => {
  const [plain, relaxed] = [simdModule(false), simdModule(true)];
  const operations = FLOPS_PER_ROUND / 8;
  // Per chain: multiply (3 bytes), local.get (2), add (3) against local.get (2), madd (3).
  expect(plain.length - relaxed.length).toBe(3 * operations);
  expect(WebAssembly.validate(relaxed.slice(0, -1))).toBe(false);
});
