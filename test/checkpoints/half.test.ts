/** Half precision in safetensors files: widened unless asked for, kept bit for bit when asked for. */
import * as E from 'fp-ts/lib/Either.js';
import {
  Bfloat16Bits,
  dtypeOfHost,
  Float16Bits,
  flatData,
  floats,
  type HalfPrecision,
  type HostArray,
  hostArray,
  key,
  numberOfHalf,
  orThrow,
  range,
  toHalf,
} from '../../src/autodiff/index.js';
import {
  decodeSafetensors,
  decodeTrainingState,
  encodeSafetensors,
  encodeTrainingState,
  matchTrainingState,
  type StoredTensor,
  stored,
  tensorsOfTree,
  treeOfTensors,
} from '../../src/checkpoints/index.js';

const FORMATS = [
  ['bfloat16', 'BF16', Bfloat16Bits],
  ['float16', 'F16', Float16Bits],
] as const;
const encode = (tensors: Parameters<typeof encodeSafetensors>[0]['tensors']) =>
  orThrow(encodeSafetensors({ tensors, metadata: new Map() }));
const bitsOf = (x: HostArray | undefined) => Array.from(flatData(x as HostArray));

describe.each(FORMATS)('%s', (precision: HalfPrecision, name, Bits) => {
  const all = hostArray(Bits.from(range(65_536)) as InstanceType<typeof Bits>, [256, 256]);

  test('all 65,536 patterns come back, NaNs with their payloads', () => {
    const file = encode(new Map([['w', stored(all)]]));
    const header = new TextDecoder().decode(file.subarray(8, 100));
    expect(header).toContain(`{"dtype":"${name}","shape":[256,256],"data_offsets":[0,131072]}`);
    const tensor = orThrow(decodeSafetensors(file, { keepHalf: true })).tensors.get('w');
    expect(tensor?.storage).toBe(name);
    expect(dtypeOfHost(tensor?.array as HostArray)).toBe(precision);
    expect(bitsOf(tensor?.array)).toEqual(range(65_536));
    expect(encode(new Map([['w', stored(tensor?.array as HostArray)]]))).toEqual(file);
  });

  test('unless asked for they are widened, exactly', () => {
    const tensor = orThrow(decodeSafetensors(encode(new Map([['w', stored(all)]])))).tensors.get(
      'w',
    );
    const data = (tensor as StoredTensor).array.data;
    expect(data).toBeInstanceOf(Float32Array);
    const wrong = range(65_536).filter((p) => !Object.is(data[p], numberOfHalf(p, precision)));
    expect(wrong).toEqual([]);
  });

  test('a transposed view is written in its own order', () => {
    const x = toHalf(floats([1, 2, 3, 4, 5, 6], [2, 3]), precision);
    const file = encode(new Map([['w', stored(x.transpose(1, 0) as HostArray)]]));
    const read = orThrow(decodeSafetensors(file)).tensors.get('w')?.array as HostArray;
    expect([read.shape, Array.from(read.data)]).toEqual([
      [3, 2],
      [1, 4, 2, 5, 3, 6],
    ]);
  });

  test('a tree with halves, and a training state, come back as they were', () => {
    const tree = {
      norm: floats([1, 2]),
      weight: toHalf(floats([1, -2, 1e-3, 9], [2, 2]), precision),
    };
    const { tensors } = orThrow(
      decodeSafetensors(encode(orThrow(tensorsOfTree(tree))), { keepHalf: true }),
    );
    const back = orThrow(treeOfTensors(tree, tensors));
    expect(dtypeOfHost(back.weight)).toBe(precision);
    expect(bitsOf(back.weight)).toEqual(bitsOf(tree.weight));

    const state = { step: 3, params: tree, optimiser: { m: floats([0.5]) }, runKey: key(1) };
    const file = orThrow(encodeTrainingState(state, {}));
    const again = orThrow(matchTrainingState(orThrow(decodeTrainingState(file)), state, {}));
    expect(bitsOf(again.params.weight)).toEqual(bitsOf(tree.weight));
  });

  test('a tree that asks for the other width names the tensor', () => {
    const half = { w: toHalf(floats([1, 2]), precision) };
    const file = encode(orThrow(tensorsOfTree(half)));
    const load = (template: unknown, keepHalf: boolean) =>
      treeOfTensors(template, orThrow(decodeSafetensors(file, { keepHalf })).tensors);
    expect(load({ w: floats([0, 0]) }, true)).toEqual(
      E.left({ kind: 'checkpoint', message: `tensor "w" is ${precision}[2], expected float[2]` }),
    );
    expect(load(half, false)).toEqual(
      E.left({ kind: 'checkpoint', message: `tensor "w" is float[2], expected ${precision}[2]` }),
    );
  });

  test('it cannot be written as anything else', () => {
    const other = name === 'BF16' ? 'F16' : 'BF16';
    const tensor = { storage: other, array: all } as const;
    const result = encodeSafetensors({ tensors: new Map([['w', tensor]]), metadata: new Map() });
    expect(result).toEqual(
      E.left({
        kind: 'checkpoint',
        message: `safetensors: tensor "w" is given as ${name}, cannot be written as ${other}`,
      }),
    );
  });
});
