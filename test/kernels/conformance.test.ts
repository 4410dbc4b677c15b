/**
 * Every backend against the reference, for every primitive of the registry: its results, and the
 * programs of its vjp and jvp. Floats agree to 2e-5 relative to max(1, |reference|); integers,
 * booleans and random words exactly. Shapes are random, with odd sizes, axes of one and of none.
 */
import fc from 'fast-check';
import {
  dtypeOfHost,
  type HostArray,
  ints,
  jvp,
  primitives,
  type Tape,
  trace,
  type Value,
  vjp,
} from '../../src/autodiff/index.js';
import { type Case, directionsLike, floatPart, resultsOf } from '../autodiff/laws/case.js';
import { primitiveStrategies } from '../autodiff/laws/primitiveCases.js';
import { testBackends, webgpuIsRequired, webgpuMissing } from '../support/backends.js';
import { runs } from '../tooling/property.js';
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

/** Cases per strategy: a WebGPU kernel takes milliseconds to build. */
const CASES: Readonly<Record<string, number>> = {
  'gpujs-cpu': 30,
  'gpujs-webasm': 30,
  'gpujs-webgpu': 12,
};

/** Integers beyond 2²⁴ are refused by float32 kernels; that is tested elsewhere. */
const within24Bits = (x: HostArray): HostArray =>
  dtypeOfHost(x) === 'int'
    ? ints(
        Array.from(x.data, (n) => n % 2 ** 24),
        x.shape,
      )
    : x;

type Lists = readonly Value[];

/** The programs of a case: the primitive itself, and with float operands its derivatives. */
function programs(given: Case): { name: string; tape: Tape; inputs: readonly HostArray[] }[] {
  const theCase = { ...given, inputs: given.inputs.map(within24Bits) };
  const { f, inputs, seed } = theCase;
  const forward = {
    name: 'value',
    tape: trace((...xs: Value[]) => f(xs), ...inputs),
    inputs,
  };
  const part = floatPart(theCase);
  const { g, x } = part;
  if (x.length === 0) return [forward];
  const v = directionsLike(x, seed);
  const u = directionsLike(resultsOf(part), seed + 1);
  const pushed = (xs: Lists, vs: Lists) => jvp(g, [xs], [vs]).tangents;
  const pulled = (xs: Lists, us: Lists) => vjp(g, xs).pullback(us)[0];
  return [
    forward,
    { name: 'jvp', tape: trace(pushed, x, v), inputs: [...x, ...v] },
    { name: 'vjp', tape: trace(pulled, x, u), inputs: [...x, ...u] },
  ];
}

onEachBackend((backend, name) => {
  describe.each(Object.entries(primitiveStrategies))('%s', (_, strategies) => {
    strategies.forEach(({ cases }, i) => {
      test(`strategy ${i}`, async () => {
        await fc.assert(
          fc.asyncProperty(cases, async (theCase) => {
            for (const { name: which, tape, inputs } of programs(theCase)) {
              await checkTape(backend(), tape, inputs, `${which} of ${theCase.note}`);
            }
          }),
          { numRuns: runs(CASES[name] as number) },
        );
      });
    });
  });
});
