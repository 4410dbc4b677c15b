/**
 * Generated tasks for the quick form: short English sentences of a toy grammar, labelled by rule. They
 * show that everything runs and that the model learns; they say nothing about the paper's claims.
 */
import { foldIn, hostBits, type Key, key } from '../../autodiff/index.js';
import type { TextDataset, TextExample } from '../../data/index.js';

const SUBJECTS = [
  'the film',
  'this story',
  'the acting',
  'his music',
  'the first half',
  'her role',
];
const GOOD = ['good', 'charming', 'a delight', 'funny', 'moving'];
const BAD = ['bad', 'dull', 'a mess', 'boring', 'empty'];
const ENDS = ['from start to end', 'for everyone', 'in every way', 'this time', 'once again'];

export type ToyTask = 'sentiment' | 'grammar' | 'pair';

const CLASSES: Readonly<Record<ToyTask, readonly string[]>> = {
  sentiment: ['negative', 'positive'],
  grammar: ['unacceptable', 'acceptable'],
  pair: ['different', 'equivalent'],
};

const picked = (words: readonly string[], draw: number): string =>
  words[draw % words.length] as string;

/** Example number `n` of a key; its label is n mod 2. */
function toyExample(task: ToyTask, random: Key, n: number): TextExample {
  const label = n % 2;
  const [a = 0, b = 0, c = 0, d = 0] = hostBits(foldIn(random, n), 4);
  const [subject, end] = [picked(SUBJECTS, a), picked(ENDS, c)];
  const word = (good: boolean) => picked(good ? GOOD : BAD, b);
  switch (task) {
    case 'sentiment':
      return { text: `${subject} is ${word(label === 1)} ${end} .`, label };
    case 'grammar': {
      const verb = label === 1 ? 'is' : picked(['are is', 'be', 'of'], d);
      return { text: `${subject} ${verb} ${word(d % 3 === 0)} ${end} .`, label };
    }
    case 'pair': {
      const good = d % 2 === 0;
      const other = label === 1 ? good : !good;
      return {
        text: `${subject} is ${word(good)} .`,
        second: `${subject} is ${word(other)} ${end} .`,
        label,
      };
    }
  }
}

/** `count` examples, half of each class. */
export const toyTexts = (task: ToyTask, count: number, seed: number): TextDataset => ({
  name: `generated ${task}`,
  classes: CLASSES[task],
  examples: Array.from({ length: count }, (_, n) => toyExample(task, key(seed), n)),
});
