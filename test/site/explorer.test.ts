/** The tape explorer: what it says of a function is so. */

import { TRANSFORMS, tapeOf, transformed, viewOf } from '../../site/src/explorer/analyse.js';
import { answer } from '../../site/src/explorer/answer.js';
import { EXAMPLES } from '../../site/src/explorer/examples.js';
import { originOf } from '../../site/src/explorer/provenance.js';
import { readProgram } from '../../site/src/explorer/source.js';
import { printTape } from '../../src/autodiff/index.js';

const codeOf = (name: string) => EXAMPLES.find((e) => e.name === name)?.code as string;
const working = EXAMPLES.filter(({ name }) => name !== 'One that does not fit');

test.each(working)(
  '$name: every tab has an answer, and the gradient is right',
  async ({ code }) => {
    for (const transform of TRANSFORMS) {
      for (const simplify of [true, false]) {
        const reply = await answer(code, { kind: 'tapes', transform, simplify });
        expect(reply.kind === 'tapes' && typeof reply.made).toBe('object');
      }
    }
    const plan = await answer(code, { kind: 'plan', of: 'transform', transform: 'grad' });
    if (plan.kind !== 'plan') throw new Error('no plan');
    expect(plan.plan.kernels.length).toBeGreaterThan(0);
    for (const { equations } of plan.plan.kernels) expect(equations.length).toBeGreaterThan(0);
    for (const [language, sign] of [
      ['wgsl', '@compute'],
      ['gpujs', 'function'],
      ['wasm', '(module'],
    ] as const) {
      const reply = await answer(code, {
        kind: 'code',
        of: 'transform',
        transform: 'grad',
        language,
      });
      expect(reply.kind === 'code' && reply.text).toContain(sign);
    }
    const run = await answer(code, { kind: 'run', seed: 3, backend: 'wasm' });
    if (run.kind !== 'run' || typeof run.ran.gradient === 'string') throw new Error('no gradient');
    expect(run.ran.values.backendError).toBeLessThan(1e-5);
    expect(run.ran.gradient.compared).toBeGreaterThan(0);
    expect(run.ran.gradient.greatestError).toBeLessThan(1e-7);
  },
);

test('marks: what a rule built belongs to its equation, what the transform added to none', () => {
  const tape = tapeOf(readProgram(codeOf('x · sin x')));
  expect(tape.equations.map(({ primitive }) => primitive.name)).toEqual([
    'sin',
    'mul',
    'reduceSum',
  ]);
  const gradient = transformed(tape, 'vjp');
  const byName = gradient.equations.map((e) => [e.primitive.name, originOf(e)]);
  // Forward: each equation again. Backward: broadcast of the sum, two factors of mul, cos of sin.
  expect(byName).toContainEqual(['sin', 0]);
  expect(byName).toContainEqual(['cos', 0]);
  expect(byName.filter(([name, of]) => name === 'mul' && of === 1)).toHaveLength(3);
  // x is used twice, so its cotangents are summed; that sum is nobody's.
  expect(byName).toContainEqual(['add', undefined]);
  // The marks change no number and no name.
  const plain = transformed(tape, 'jvp');
  expect(printTape(plain)).toContain('cos');
});

test('a gradient at W + ε has noise of its own, which is nobody’s', () => {
  const program = readProgram(codeOf('A LoRA layer (Eq. 1)'));
  const tape = tapeOf(program);
  const view = viewOf(transformed(tape, 'flat'), ['A', 'B', 'W', 'x'], 'flat');
  expect(view.inputs.at(-1)).toContain('key');
  const origins = new Set(view.lines.map(({ origin }) => origin));
  expect(origins.has(undefined)).toBe(true);
  expect(origins.size).toBeGreaterThan(4);
});

test.each([
  ['const inputs = { x: [2] };', 'there is no function f', undefined],
  ['function f(x) { return x; }', 'there are no inputs', undefined],
  [
    'const inputs = { x: [2, -1] };\nfunction f(x) { return x; }',
    'inputs.x: expected a shape',
    undefined,
  ],
  ['const inputs = { x: [99999, 99999] };\nfunction f(x) { return x; }', 'more than', undefined],
  ['const inputs = { x: [2] };\nfunction f(x) { return [x, x]; }', 'f gives a list', undefined],
  ['const inputs = { x: [2] };\nfunction f(x) {', 'Unexpected token', 2],
  [
    'const inputs = { x: [2] };\nfunction f(x) {\n  return nowhere(x);\n}',
    'nowhere is not defined',
    3,
  ],
  [
    'const inputs = { x: [2] };\n\nfunction f(x) {\n  return undefined;\n}',
    'f gives nothing',
    undefined,
  ],
  [codeOf('One that does not fit'), 'matmul: inner dimensions differ: [2,3] · [4,5]', 4],
])('%j is answered by a sentence', async (code, message, line) => {
  const asked = answer(code, { kind: 'tapes', transform: 'grad', simplify: true });
  await expect(asked).rejects.toThrow(message);
  await expect(asked).rejects.toMatchObject({ line });
});

test('a transform that does not apply says so, and the function stays', async () => {
  const code = 'const inputs = { x: [2] };\nfunction f(x) { return sin(x); }';
  const reply = await answer(code, { kind: 'tapes', transform: 'grad', simplify: true });
  expect(reply.kind === 'tapes' && reply.made).toBe(
    'grad needs a function to one number; this one gives float[2]. Sum it up, or choose vjp or jvp.',
  );
});
