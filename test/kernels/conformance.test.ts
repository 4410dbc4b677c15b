/**
 * Every backend against the reference, for every primitive of the registry: its results, and the
 * programs of its vjp and jvp. Floats agree to 2e-5 relative to max(1, |reference|); integers,
 * booleans and random words exactly. Shapes are random, with odd sizes, axes of one and of none.
 */
import fc from 'fast-check';
import { primitives } from '../../src/autodiff/index.js';
import { primitiveStrategies } from '../autodiff/laws/primitiveCases.js';
import { testBackends, webgpuIsRequired, webgpuMissing } from '../support/backends.js';
import { runs } from '../tooling/property.js';
import { programsOf } from './primitivePrograms.js';
import { checkTape, onEachBackend } from './support.js';

test('which backends are tested', () => {
  const tested = testBackends().map((b) => b.name);
  const left = webgpuMissing === undefined ? '' : ` (gpujs-webgpu: ${webgpuMissing})`;
  process.stdout.write(`backends tested: ${tested.join(', ')}${left}\n`);
  expect(tested).toEqual(expect.arrayContaining(['reference', 'gpujs-cpu', 'gpujs-webasm']));
  if (webgpuIsRequired) expect(webgpuMissing).toBeUndefined();
});

test('every primitive has operands here', () => {
  expect(Object.keys(primitiveStrategies).sort()).toEqual(primitives.map((p) => p.name).sort());
});

/** Cases per strategy (FLATLORA_TEST_RUNS multiplies them): a WebGPU kernel takes milliseconds to build. */
const CASES: Readonly<Record<string, number>> = {
  'gpujs-cpu': 15,
  'gpujs-webasm': 15,
  wasm: 20,
  'gpujs-webgpu': 6,
  webgpu: 8,
};

onEachBackend((backend, name) => {
  describe.each(Object.entries(primitiveStrategies))('%s', (_, strategies) => {
    strategies.forEach(({ cases }, i) => {
      test(`strategy ${i}`, async () => {
        await fc.assert(
          fc.asyncProperty(cases, async (theCase) => {
            for (const { name: which, tape, inputs } of programsOf(theCase)) {
              await checkTape(backend(), tape, inputs, `${which} of ${theCase.note}`);
            }
          }),
          { numRuns: runs(CASES[name] as number) },
        );
      });
    });
  });
});
