/**
 * From a tape to kernels: what is fused, what is written to memory, and how much that is.
 */
import { add, floats, gelu, grad, matmulTransposed, mean, square } from 'flatlora/autodiff';
import { compile, wasmBackend } from 'flatlora/kernels';

// One layer with its loss. Bias and activation are worked out where the product is written.
const loss = ({ weight, bias }, x) => mean(square(gelu(add(matmulTransposed(x, weight), bias))));
const weights = { weight: floats(Array(12).fill(0.1), [3, 4]), bias: floats([0, 0.1, 0.2]) };
const x = floats(
  Array.from({ length: 20 }, (_, i) => i / 10),
  [5, 4],
);

const backend = await wasmBackend({ threads: 1 });
const program = compile(grad(loss), backend);
console.log(await program.describe(weights, x));
await program.dispose();
await backend.dispose();
