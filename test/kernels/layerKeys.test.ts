/** Keys of layers: their ids have all of 32 bits, more than a float32 number holds. */
import {
  broadcastTo,
  equal,
  foldIn,
  foldInTraced,
  ints,
  key,
  normal,
  scalar,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import { layerId, layerKey } from '../../src/flatlora/index.js';
import { toNumbers } from '../support/numeric.js';
import { checkTape, kernelBackends, onEachBackend, runTape } from './support.js';

const NAMES = ['first.weight', 'blocks.3.mlp.fc1.weight', 'head'];

onEachBackend((backend) => {
  test.each(NAMES)('the key of %s is that of the host', async (name) => {
    const k = key(77);
    const [given] = await runTape(
      backend(),
      trace((x: Value) => layerKey(x, name), k),
      [k],
    );
    expect(toNumbers(given as never)).toEqual(toNumbers(foldIn(k, layerId(name))));
  });

  test.each([-1, -(2 ** 31), 2 ** 31 - 1, 2 ** 24 + 1, -(2 ** 24) - 1])(
    'data %d, and the noise drawn from it',
    async (data) => {
      const f = (x: Value) => {
        const derived = foldInTraced(x, data);
        return [derived, normal(derived, [5])];
      };
      await checkTape(backend(), trace(f, key(3)), [key(3)], `foldIn ${data}`, 0);
    },
  );
});

onEachBackend(
  (backend) => {
    test('other integers beyond 2^24 in the text of a program are refused', async () => {
      const far = (x: Value) => equal(broadcastTo(scalar(2 ** 24 + 1, 'int'), [2]), x);
      const tape = trace(far, ints([1, 2]));
      await expect(backend().compile(tape)).rejects.toThrow('integer 16777217 at position 0');
    });
  },
  kernelBackends().filter((b) => b.name.startsWith('gpujs')),
);
