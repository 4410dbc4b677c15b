/**
 * Instructions in Alpaca's format (Taori et al. 2023), and a few kinds of them that a very small model
 * can learn to follow, though not at once: each asks for one of several things that were said, so the
 * answer has to be found by what stands beside it.
 */
import { foldIn, hostBits, type Key, range } from '../../autodiff/index.js';
import type { Instruction } from '../../data/index.js';

/** Alpaca's two templates, for instructions with and without an input; the response follows. */
export const alpacaPrompt = ({ instruction, input }: Omit<Instruction, 'output'>): string =>
  input === ''
    ? `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:`
    : `Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`;

const NAMES = ['Lily', 'Tim', 'Ben', 'Mia', 'Sam', 'Anna', 'Tom', 'Sue', 'Max', 'Amy'];
const THINGS = ['ball', 'dog', 'cat', 'tree', 'cake', 'car', 'book', 'bird', 'hat', 'boat'];
const LOOKS = ['big', 'small', 'red', 'blue', 'new', 'old', 'soft', 'green'];

/** Children of whom something is said. */
const CHILDREN = 3;

/** Different entries of a list, decided by random words: a swap for each place, as in a shuffle. */
function distinct(list: readonly string[], words: readonly number[]): readonly string[] {
  const rest = [...list];
  return words.map((word) => rest.splice(word % rest.length, 1)[0] as string);
}

/** Instruction number `n` of a key. */
export function simpleInstruction(random: Key, n: number): Instruction {
  const words = Array.from(hostBits(foldIn(random, n), 2 + 3 * CHILDREN));
  const [kind, asked] = [(words[0] as number) % 4, (words[1] as number) % CHILDREN];
  const drawn = (part: number) => words.slice(2 + part * CHILDREN, 2 + (part + 1) * CHILDREN);
  const names = distinct(NAMES, drawn(0));
  const things = distinct(THINGS, drawn(1));
  const looks = distinct(LOOKS, drawn(2));
  const input = range(CHILDREN)
    .map((i) => `${names[i]} has the ${looks[i]} ${things[i]}.`)
    .join(' ');
  const [name, thing, look] = [names, things, looks].map((list) => list[asked]) as [
    string,
    string,
    string,
  ];
  switch (kind) {
    case 0:
      return { instruction: `Say who has the ${thing}.`, input, output: name };
    case 1:
      return { instruction: `Say what ${name} has.`, input, output: `the ${look} ${thing}` };
    case 2:
      return { instruction: `Say how the ${thing} looks.`, input, output: look };
    default:
      return { instruction: `Say who has the ${look} thing.`, input, output: name };
  }
}
