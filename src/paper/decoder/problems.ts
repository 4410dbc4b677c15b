/**
 * Word problems in the style of GSM8K, small enough for a model of 260,000 parameters: one or two steps
 * of addition and subtraction with small numbers, about the children and things of TinyStories. Answers
 * go step by step to a last number, as GSM8K's do, but in words: the signs of its notes (`<<3+5=8>>`,
 * `####`) are no tokens that stories260K has ever seen, and adapters leave the embedding as it is, so
 * that LoRA cannot learn to write them.
 */
import { foldIn, hostBits, type Key } from '../../autodiff/index.js';
import type { WordProblem } from '../../data/index.js';

const CHILDREN = ['Lily', 'Tim', 'Ben', 'Mia', 'Sam', 'Anna', 'Tom', 'Sue'];
const THINGS = ['apples', 'balls', 'toys', 'books', 'flowers', 'cakes', 'shells', 'cars'];

type Draw = (n: number) => number;

/** More than a problem of two steps draws: three for its start, three a step. */
const MOST_DRAWS = 16;

/** Draws in turn from one block of random words. */
function draws(random: Key, n: number): Draw {
  const words = hostBits(foldIn(random, n), MOST_DRAWS);
  let next = 0;
  return (below) => {
    const word = words[next++];
    if (word === undefined) throw new Error('wordProblem: more draws than MOST_DRAWS');
    return word % below;
  };
}

interface Step {
  readonly text: (other: string) => string;
  readonly sign: '+' | '-';
  readonly amount: number;
}

const gift = (amount: number): Step => ({
  text: (other) => `${other} gives ${amount} more.`,
  sign: '+',
  amount,
});
const loss = (amount: number): Step => ({
  text: (other) => `Then ${other} takes ${amount} away.`,
  sign: '-',
  amount,
});

/** A step that leaves between 0 and 18. */
const stepFrom = (held: number, draw: Draw): Step =>
  held > 9 || (held > 1 && draw(2) === 0) ? loss(1 + draw(Math.min(held, 9))) : gift(1 + draw(9));

/** The number behind "The answer is", also as tokenizers without capitals write it; empty where there is none. */
export const answerInWords = (text: string): string => /the answer is (\d+)/i.exec(text)?.[1] ?? '';

/** Problem number `n` of a key, with one or two steps. */
export function wordProblem(random: Key, n: number, steps: 1 | 2): WordProblem {
  const draw = draws(random, n);
  const [child, thing] = [CHILDREN[draw(8)] as string, THINGS[draw(8)] as string];
  let held = 1 + draw(9);
  const texts = [`${child} has ${held} ${thing}.`];
  const notes: string[] = [];
  for (let i = 0; i < steps; i++) {
    const others = CHILDREN.filter((name) => name !== child);
    const { text, sign, amount } = stepFrom(held, draw);
    texts.push(text(others[draw(7)] as string));
    const left = sign === '+' ? held + amount : held - amount;
    notes.push(`${held} ${sign === '+' ? 'and' : 'less'} ${amount} is ${left}.`);
    held = left;
  }
  return {
    question: `${texts.join(' ')} How many ${thing} are there now?`,
    answer: `${notes.join(' ')} The answer is ${held}.`,
  };
}
