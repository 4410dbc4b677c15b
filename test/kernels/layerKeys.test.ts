/** Keys of layers: their ids have all of 32 bits, more than a float32 number holds. */
import { foldIn, foldInTraced, key, normal, trace, type Value } from '../../src/autodiff/index.js';
import { layerId, layerKey } from '../../src/flatlora/index.js';
import { toNumbers } from '../support/numeric.js';
import { checkTape, onEachBackend, runTape } from './support.js';

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
