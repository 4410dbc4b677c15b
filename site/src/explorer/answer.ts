/** Answers to the page's questions about a function; pure but for the run, and usable in Node. */
import type { Tape } from '../../../src/autodiff/index.js';
import { simplified, type TransformName, tapeOf, transformed, viewOf } from './analyse.js';
import { codeOf, planView } from './code.js';
import type { Question, Ran, Reply } from './protocol.js';
import { checkGradient, runTape } from './run.js';
import { readProgram } from './source.js';

const reasonOf = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message : String(thrown)).split('\n')[0] as string;

/** The gradient of f against differences, where f gives one number. */
async function gradientOf(tape: Tape, names: readonly string[], seed: number) {
  let gradient: Tape;
  try {
    gradient = transformed(tape, 'grad');
  } catch (thrown) {
    return reasonOf(thrown);
  }
  return checkGradient(tape, gradient, names, seed);
}

/** @throws SourceProblem, in a sentence. */
export async function answer(source: string, question: Question): Promise<Reply> {
  const program = readProgram(source);
  const names = program.inputs.map(({ name }) => name);
  const tape = tapeOf(program);
  const made = (transform: TransformName) => simplified(transformed(tape, transform));
  switch (question.kind) {
    case 'tapes': {
      const { transform, simplify } = question;
      const own = viewOf(tape, names, undefined);
      try {
        const whole = transformed(tape, transform);
        return {
          kind: 'tapes',
          own,
          made: viewOf(simplify ? simplified(whole) : whole, names, transform),
        };
      } catch (thrown) {
        return { kind: 'tapes', own, made: reasonOf(thrown) };
      }
    }
    case 'plan':
      return {
        kind: 'plan',
        plan: planView(question.of === 'function' ? simplified(tape) : made(question.transform)),
      };
    case 'code': {
      const chosen = question.of === 'function' ? simplified(tape) : made(question.transform);
      return { kind: 'code', text: await codeOf(chosen, question.language) };
    }
    case 'run': {
      const values = await runTape(simplified(tape), question.seed, question.backend);
      const ran: Ran = { values, gradient: await gradientOf(tape, names, question.seed) };
      return { kind: 'run', ran };
    }
  }
}
