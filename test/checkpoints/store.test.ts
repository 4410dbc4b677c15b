import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { floats, type HostArray, key, type Problem } from '../../src/autodiff/index.js';
import { stored, type TrainingState } from '../../src/checkpoints/index.js';
import {
  nodeCheckpoints,
  readSafetensors,
  writeBytesAtomically,
  writeSafetensors,
} from '../../src/checkpoints/node/index.js';

const right = async <A>(task: TaskEither<Problem, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};
const message = async (task: TaskEither<Problem, unknown>): Promise<string> => {
  const result = await task();
  return E.isLeft(result) ? result.left.message : 'no problem';
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'flatlora-store-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

type State = TrainingState<{ w: HostArray }, readonly HostArray[]>;
const stateAt = (step: number): State => ({
  params: { w: floats([step, -step / 3]) },
  optimiser: [floats([step * 2])],
  step,
  runKey: key(7),
});
const configuration = { rank: 8, learningRate: 0.1 };
const file = (step: number) =>
  path.join(folder, `step-${String(step).padStart(8, '0')}.safetensors`);
const load = (c: object = configuration) =>
  nodeCheckpoints(folder).load(stateAt(0), c as typeof configuration);
const loaded = async () => {
  const found = await right(load());
  if (O.isNone(found)) throw new Error('nothing was found');
  return found.value;
};
const save = (step: number) => right(nodeCheckpoints(folder).save(stateAt(step), configuration));

describe('training states', () => {
  test('nothing saved, then the newest of two, in the folder made for them', async () => {
    expect(await right(load())).toEqual(O.none);
    await rm(folder, { recursive: true });
    expect(await right(load())).toEqual(O.none);
    for (const step of [3, 9, 12]) await save(step);
    expect(await readdir(folder)).toEqual([
      'step-00000009.safetensors',
      'step-00000012.safetensors',
    ]);
    expect(await loaded()).toEqual({ state: stateAt(12), passedOver: [] });
  });

  test.each([
    ['truncated', (bytes: Buffer) => bytes.subarray(0, bytes.length - 5)],
    ['empty', () => Buffer.alloc(0)],
    ['something else', () => Buffer.from('not a checkpoint at all')],
  ])('a newest file that is %s is passed over, and said so', async (_, damage) => {
    await save(3);
    await save(9);
    await writeFile(file(9), damage(await readFile(file(9))));
    const { state, passedOver } = await loaded();
    expect(state).toEqual(stateAt(3));
    expect(passedOver).toHaveLength(1);
    expect(passedOver[0]).toContain(`${file(9)} is damaged and was passed over (safetensors: `);
    // The run goes on from 3 and saves 5: the damaged 9 must not come back.
    await save(5);
    expect(await readdir(folder)).toEqual([
      'step-00000003.safetensors',
      'step-00000005.safetensors',
    ]);
    expect(await loaded()).toEqual({ state: stateAt(5), passedOver: [] });
  });

  test('no whole file is an error, not a fresh start', async () => {
    await save(3);
    await writeFile(file(3), 'x');
    expect(await message(load())).toContain(`no checkpoint of ${folder} is whole: `);
  });

  test('another configuration is refused by name, without falling back', async () => {
    await save(3);
    await save(9);
    expect(await message(load({ rank: 16, learningRate: 0.1 }))).toBe(
      `${file(9)}: made with another configuration: rank: 8 saved, 16 now`,
    );
  });

  test('another tree is refused by name', async () => {
    await save(3);
    const other = { ...stateAt(0), params: { w: floats([1]) } };
    expect(await message(nodeCheckpoints(folder).load(other, configuration))).toBe(
      `${file(3)}: tensor "params.w" is float[2], expected float[1]`,
    );
  });

  test('leftovers of interrupted writes and other files are ignored, leftovers cleaned up', async () => {
    await save(3);
    await writeFile(`${file(9)}.tmp`, 'half a fi');
    await writeFile(path.join(folder, 'notes.txt'), 'mine');
    await writeFile(path.join(folder, 'step-9.safetensors.bak'), 'mine');
    expect((await loaded()).state.step).toBe(3);
    await save(4);
    expect((await readdir(folder)).sort()).toEqual([
      'notes.txt',
      'step-00000003.safetensors',
      'step-00000004.safetensors',
      'step-9.safetensors.bak',
    ]);
  });

  test('a folder that cannot be made', async () => {
    await writeFile(path.join(folder, 'file'), '');
    const inFile = path.join(folder, 'file', 'below');
    expect(await message(nodeCheckpoints(inFile).save(stateAt(1), {}))).toMatch(
      /^cannot make .*below: /,
    );
  });
});

describe('files', () => {
  const contents = {
    tensors: new Map([['w', stored(floats([1, 2]))]]),
    metadata: new Map([['by', 'test']]),
  };

  test('write, read, and no temporary file stays', async () => {
    const at = path.join(folder, 'adapter.safetensors');
    await right(writeSafetensors(at, contents));
    expect(await readdir(folder)).toEqual(['adapter.safetensors']);
    const read = await right(readSafetensors(at));
    expect([...(read.tensors.get('w')?.array.data ?? [])]).toEqual([1, 2]);
    expect(read.metadata.get('by')).toBe('test');
  });

  test('problems name the file', async () => {
    const at = path.join(folder, 'none');
    expect(await message(readSafetensors(at))).toBe(`cannot read ${at}: ENOENT`);
    await writeFile(at, 'short');
    expect(await message(readSafetensors(at))).toBe(
      `${at}: safetensors: 5 bytes, too short for a header`,
    );
    const missing = path.join(folder, 'no', 'folder');
    expect(await message(writeSafetensors(missing, contents))).toContain(
      `cannot write ${missing}: ENOENT`,
    );
  });

  test('who reads while others write sees one whole content or the other', async () => {
    const at = path.join(folder, 'contested');
    const size = 200_000;
    await right(writeBytesAtomically(at, new Uint8Array(size).fill(1)));
    let writing = true;
    const writer = (async () => {
      for (let i = 2; i < 40; i++) {
        await right(writeBytesAtomically(at, new Uint8Array(size + i).fill(i)));
      }
      writing = false;
    })();
    let reads = 0;
    while (writing) {
      const bytes = await readFile(at);
      const [first = 0] = bytes;
      expect(bytes.length).toBe(first === 1 ? size : size + first);
      expect(bytes.every((b) => b === first)).toBe(true);
      reads++;
    }
    await writer;
    expect(reads).toBeGreaterThan(0);
  });
});
