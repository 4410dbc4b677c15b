/**
 * A hundred thousand damaged files through the readers of safetensors, shard indexes, adapters and
 * configurations: each is read or refused in one line, quickly, and nothing is thrown.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as E from 'fp-ts/lib/Either.js';
import { foldIn, type HostArray, hostBits, key, orThrow } from '../../src/autodiff/index.js';
import { decodeSafetensors, shardsOf } from '../../src/checkpoints/index.js';
import { architectureOf, readPeft } from '../../src/huggingface/index.js';
import { readJson } from './golden.js';

const COUNT = 100_000;
const SEED = key(20261125);

const file = (name: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../fixtures/peft/${name}`, import.meta.url))));

/** A small valid file: the header is what there is to get wrong. */
const SAFETENSORS = (() => {
  const header = JSON.stringify({
    __metadata__: { format: 'pt' },
    'base_model.model.a.lora_A.weight': { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
    b: { dtype: 'BF16', shape: [4], data_offsets: [24, 32] },
    c: { dtype: 'I64', shape: [1], data_offsets: [32, 40] },
  });
  const bytes = new Uint8Array(8 + header.length + 40);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(new TextEncoder().encode(header), 8);
  return bytes;
})();

const INDEX = new TextEncoder().encode(
  JSON.stringify({
    metadata: { total_size: 80 },
    weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
  }),
);

const CONFIG = file('patterns/adapter_config.json');

/** Pieces that parsers trip over. */
const PIECES = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '-',
  '1e999',
  '99999999999999999999',
  'null',
  'true',
  '\\u0000',
  '../',
  '__proto__',
  '\u0000',
  'ÿ',
  '0.5',
  '-1',
  'NaN',
].map((text) => new TextEncoder().encode(text));

/** The bytes with a few of them changed, left out, doubled or replaced by a piece. */
function damaged(bytes: Uint8Array, n: number): Uint8Array {
  const words = hostBits(foldIn(SEED, n), 12);
  const changes = 1 + ((words[0] as number) % 3);
  let out = bytes.slice();
  for (let i = 0; i < changes; i++) {
    const [how, where, what] = [1, 2, 3].map((j) => words[3 * i + j] as number) as [
      number,
      number,
      number,
    ];
    const at = where % (out.length + 1);
    switch (how % 5) {
      case 0:
        out[at % out.length] = what & 0xff;
        break;
      case 1:
        out = out.slice(0, at);
        break;
      case 2: {
        const piece = PIECES[what % PIECES.length] as Uint8Array;
        out = Uint8Array.from([...out.slice(0, at), ...piece, ...out.slice(at)]);
        break;
      }
      case 3:
        out = Uint8Array.from([...out.slice(0, at), ...out.slice(at + (what % 9))]);
        break;
      default:
        out[at % out.length] = (out[at % out.length] as number) ^ (1 << (what % 8));
    }
    if (out.length === 0) out = Uint8Array.of(what & 0xff);
  }
  return out;
}

const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
};

test(`${COUNT} damaged inputs`, () => {
  const adapter = orThrow(decodeSafetensors(file('patterns/adapter_model.safetensors')));
  const tensors = new Map([...adapter.tensors].map(([name, { array }]) => [name, array]));
  const json = readJson('llama/config.json');
  const architecture = orThrow(architectureOf(json));
  const config = orThrow(architecture.config(json));
  const llama = new TextEncoder().encode(JSON.stringify(json));
  const names = [...tensors.keys()];

  const readers: readonly ((n: number) => E.Either<{ message: string }, unknown>)[] = [
    (n) => decodeSafetensors(damaged(SAFETENSORS, n)),
    (n) => decodeSafetensors(damaged(SAFETENSORS, n)),
    (n) => shardsOf(damaged(INDEX, n)),
    (n) => readPeft(architecture, config, parsed(damaged(CONFIG, n)), tensors),
    (n) => {
      // An adapter one of whose arrays has another name.
      const name = names[n % names.length] as string;
      const other = new TextDecoder().decode(damaged(new TextEncoder().encode(name), n));
      const renamed = new Map<string, HostArray>(tensors);
      renamed.delete(name);
      renamed.set(other, tensors.get(name) as HostArray);
      return readPeft(architecture, config, parsed(CONFIG), renamed);
    },
    (n) => {
      const changed = parsed(damaged(llama, n));
      return E.flatMap(architectureOf(changed), (of) => of.config(changed));
    },
  ];
  let refused = 0;
  for (let n = 0; n < COUNT; n++) {
    const result = (readers[n % readers.length] as (typeof readers)[number])(n);
    if (E.isRight(result)) continue;
    refused++;
    const { message } = result.left;
    if (message.includes('\n') || message.length > 700 || message.length === 0) {
      throw new Error(`input ${n}: ${JSON.stringify(message.slice(0, 300))}`);
    }
  }
  // Most damage is noticed; some leaves a file valid.
  expect(refused).toBeGreaterThan(COUNT / 2);
  expect(refused).toBeLessThan(COUNT);
}, 60_000);

test('the undamaged files are read', () => {
  expect(E.isRight(decodeSafetensors(SAFETENSORS))).toBe(true);
  expect(E.isRight(shardsOf(INDEX))).toBe(true);
});

describe('shards', () => {
  const said = (map: unknown) => {
    const result = shardsOf(new TextEncoder().encode(JSON.stringify({ weight_map: map })));
    return E.isLeft(result) ? result.left.message : 'read';
  };
  test.each([
    '../a.safetensors',
    '/etc/a.safetensors',
    'a/b.safetensors',
    'C:\\a.safetensors',
    '.a.safetensors',
    'a.bin',
    '',
    3,
    null,
  ])('%s is no name of a shard', (name) => {
    expect(said({ x: name })).toMatch(/the shard of "x" is/);
  });
});
