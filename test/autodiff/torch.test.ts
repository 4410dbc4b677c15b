/** The engine's own operations against PyTorch's values and gradients. */
import {
  add,
  conv2d,
  cumsum,
  gather,
  gelu,
  geluTanh,
  logSoftmax,
  logSumExp,
  matmul,
  quickGelu,
  relu,
  reshape,
  sigmoid,
  silu,
  softmax,
  softplus,
  take,
  takeAlongAxis,
  tanh,
  type Value,
} from '../../src/autodiff/index.js';
import { type TorchOperation, testTorchFixture } from '../support/torchFixtures.js';

const unary =
  (f: (x: Value) => Value): TorchOperation =>
  ({ x }) => ({ y: f(x as Value) });

testTorchFixture('relu', unary(relu));
testTorchFixture('gelu_erf', unary(gelu));
testTorchFixture('gelu_tanh', unary(geluTanh));
testTorchFixture('quick_gelu', unary(quickGelu));
testTorchFixture('silu', unary(silu));
testTorchFixture('sigmoid', unary(sigmoid));
testTorchFixture('softplus', unary(softplus));
testTorchFixture('tanh', unary(tanh));
testTorchFixture('matmul', ({ a, b }) => ({ y: matmul(a as Value, b as Value) }));
testTorchFixture('softmax', ({ x }, { dim }, name) => ({
  y: (name.startsWith('log_') ? logSoftmax : softmax)(x as Value, dim),
}));
testTorchFixture('logsumexp', ({ x }, { dim, keepdim }) => ({
  y: logSumExp(x as Value, dim, { keepAxes: keepdim }),
}));
testTorchFixture('cumsum', ({ x }, { dim }) => ({ y: cumsum(x as Value, dim) }));
testTorchFixture('gather', ({ x, index }, { dim, op }) => ({
  y: (op === 'index_select' ? take : takeAlongAxis)(x as Value, index as Value, dim),
}));
testTorchFixture('embedding', ({ weight, ids }) => ({ y: gather(weight as Value, ids as Value) }));
testTorchFixture('conv2d', ({ x, weight, bias }, { stride, padding }) => {
  const y = conv2d(x as Value, weight as Value, { stride, padding });
  return { y: bias === undefined ? y : add(y, reshape(bias, [-1, 1, 1])) };
});
