/**
 * Instructions in Alpaca's format (Taori et al. 2023), and a few kinds of them that a very small model
 * can learn to follow.
 */
import { foldIn, hostBits, type Key } from '../../autodiff/index.js';
import type { Instruction } from '../../data/index.js';

/** Alpaca's two templates, for instructions with and without an input; the response follows. */
export const alpacaPrompt = ({ instruction, input }: Omit<Instruction, 'output'>): string =>
  input === ''
    ? `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:`
    : `Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`;

const NAMES = ['Lily', 'Tim', 'Ben', 'Mia', 'Sam', 'Anna', 'Tom', 'Sue', 'Max', 'Amy'];
const THINGS = ['ball', 'dog', 'cat', 'tree', 'cake', 'car', 'book', 'bird', 'hat', 'boat'];
const LOOKS = ['big', 'small', 'red', 'blue', 'new', 'old', 'soft', 'green'];

/** Instruction number `n` of a key. */
export function simpleInstruction(random: Key, n: number): Instruction {
  const [kind = 0, a = 0, b = 0, c = 0] = hostBits(foldIn(random, n), 4);
  const pick = (list: readonly string[], draw: number) => list[draw % list.length] as string;
  const [name, thing, look, other] = [
    pick(NAMES, a),
    pick(THINGS, b),
    pick(LOOKS, c),
    pick(THINGS, c),
  ];
  const has = `${name} has the ${look} ${thing}.`;
  switch (kind % 4) {
    case 0:
      return { instruction: 'Say who has it.', input: has, output: name };
    case 1:
      return { instruction: 'Say what the child has.', input: has, output: `the ${look} ${thing}` };
    case 2:
      return { instruction: 'Say how it looks.', input: has, output: look };
    default:
      return {
        instruction: `Name the last thing that ${name} saw.`,
        input: `${name} saw a ${thing} and a ${other}.`,
        output: `a ${other}`,
      };
  }
}
