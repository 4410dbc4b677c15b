import * as E from 'fp-ts/lib/Either.js';
import { floats, ints, key } from '../../src/autodiff/index.js';
import {
  canonicalJson,
  differences,
  stored,
  tensorsOfTree,
  treeOfTensors,
} from '../../src/checkpoints/index.js';

const right = <A>(result: E.Either<{ message: string }, A>): A => {
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};
const message = (result: E.Either<{ message: string }, unknown>): string =>
  E.isLeft(result) ? result.left.message : 'no problem';

describe('trees as tensors', () => {
  const tree = {
    kind: 'lora',
    blocks: [{ A: floats([1, 2], [2, 1]) }, { A: floats([3], [1, 1]) }],
    n: ints([7], []),
    k: key(5),
  };

  test('there and back, names from the places, text kept from the template', () => {
    const tensors = right(tensorsOfTree(tree, 'params'));
    expect([...tensors.keys()]).toEqual([
      'params.blocks.0.A',
      'params.blocks.1.A',
      'params.k',
      'params.n',
    ]);
    const others = new Map([...tensors, ['optimiser.m', stored(floats([1]))] as const]);
    expect(right(treeOfTensors(tree, others, 'params'))).toEqual(tree);
  });

  test.each([
    ['missing', { a: floats([1]) }, { a: floats([1]), b: floats([1]) }, 'tensor "b" is missing'],
    [
      'further',
      { a: floats([1]), b: floats([1]) },
      { a: floats([1]) },
      'tensor "b" has no place in the tree',
    ],
    [
      'shape',
      { a: floats([1]) },
      { a: floats([1, 2]) },
      'tensor "a" is float[1], expected float[2]',
    ],
    ['dtype', { a: ints([1]) }, { a: floats([1]) }, 'tensor "a" is int[1], expected float[1]'],
  ])('%s', (_, saved, template, expected) => {
    expect(message(treeOfTensors(template as object, right(tensorsOfTree(saved))))).toBe(expected);
  });

  test('two leaves of one name are refused', () => {
    const tree = { 'a.b': floats([1]), a: { b: floats([2]) } };
    expect(message(tensorsOfTree(tree))).toBe('tensors: two leaves are named "a.b"');
  });

  test('arrays on a device are refused', () => {
    const device = { _tag: 'DeviceArray', shape: [1], dtype: 'float' };
    expect(message(tensorsOfTree({ w: device }))).toContain('"w" is not on the host');
  });
});

describe('configurations', () => {
  test('the order of keys plays no part', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'x' }], a: true })).toBe(
      canonicalJson({ a: true, b: [1, { c: 'x', d: null }] }),
    );
  });

  test('differences are named by place', () => {
    const saved = { lora: { rank: 8, targets: ['q', 'v'] }, sigma: 0.05, same: 1 };
    const now = { lora: { rank: 16, targets: ['q'] }, seed: 3, same: 1 };
    expect(differences(saved, now)).toEqual([
      'lora.rank: 8 saved, 16 now',
      'lora.targets.1: "v" saved, absent now',
      'seed: absent saved, 3 now',
      'sigma: 0.05 saved, absent now',
    ]);
    expect(differences(saved, saved)).toEqual([]);
    expect(differences(1, 2)).toEqual(['value: 1 saved, 2 now']);
  });
});
