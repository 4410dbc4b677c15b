/**
 * How sharp a minimum is, without ever forming the Hessian: its largest eigenvalues by Lanczos, its trace by
 * Hutchinson, the worst rise within a radius, and the loss along a random direction.
 */
import { floats, hostNormal, key, mean, square, sub, tanh } from 'flatlora/autodiff';
import { hessianTrace, lossLines, topHessianEigenvalues, worstCaseRise } from 'flatlora/flatlora';
import { programRunner, wasmBackend } from 'flatlora/kernels';
import { initLinear, linear } from 'flatlora/models';

const weights = { first: initLinear(key(0), 6, 16), second: initLinear(key(1), 16, 1) };
const loss = (w, { x, y }) => mean(square(sub(linear(w.second, tanh(linear(w.first, x))), y)));
const x = floats(hostNormal(key(2), 64 * 6), [64, 6]);
const y = floats(hostNormal(key(3), 64), [64, 1]);

const backend = await wasmBackend({ threads: 1 });
const given = [programRunner(backend), loss, weights, [{ x, y }]];
const top = await topHessianEigenvalues(...given, { key: key(4), count: 3 });
console.log(
  `largest eigenvalues: ${top.eigenvalues.map((v) => v.toFixed(3)).join(', ')} after ${top.iterations} products`,
);
const { trace, low, high } = await hessianTrace(...given, { key: key(5), samples: 50 });
console.log(`trace: ${trace.toFixed(2)}, 95 % between ${low.toFixed(2)} and ${high.toFixed(2)}`);
const worst = await worstCaseRise(...given, { rho: 0.05, steps: 5 });
console.log(`worst rise within 0.05: ${worst.rise.toFixed(4)}`);
const { coordinates, losses } = await lossLines(...given, {
  key: key(6),
  directions: 1,
  points: 9,
});
const most = Math.max(...losses[0]);
for (const [i, t] of coordinates.entries()) {
  console.log(
    `${t.toFixed(2).padStart(6)} ${'█'.repeat(Math.round((40 * losses[0][i]) / most))} ${losses[0][i].toFixed(3)}`,
  );
}
await backend.dispose();
