/** How the elements of a kernel's result are spread over gpu.js's threads. */
import type { LoopVariable } from '../plan/position.js';
import { type GpuJsMode, literal } from './math.js';

/** Whether each thread's coordinates are worked out from one flat index. */
const isFlat = (mode: GpuJsMode): boolean => mode !== 'webasm';

/**
 * Defines the loop variables of the output from the thread's coordinates and gives the launch size.
 * WebAssembly runs four neighbours in x at once and treats y and z as plain numbers, so the last
 * axis is x there; other modes get one flat index.
 */
export function threadAxes(
  axes: readonly LoopVariable[],
  mode: GpuJsMode,
  define: (name: string, text: string) => void,
): readonly number[] {
  const wide = axes.filter((a) => a.size > 1);
  for (const a of axes) if (a.size <= 1) define(a.name, '0');
  if (wide.length === 0) return [1];
  const threads = isFlat(mode)
    ? ['this.thread.x']
    : ['this.thread.x', 'this.thread.y', 'this.thread.z'];
  const output: number[] = [];
  threads.forEach((thread, t) => {
    const last = t === threads.length - 1;
    const own = last
      ? wide.slice(0, wide.length - t)
      : wide.slice(wide.length - t - 1, wide.length - t);
    if (own.length === 0) return;
    output.push(own.reduce((n, a) => n * a.size, 1));
    let rest = thread;
    own.reverse().forEach(({ name, size: n }, i) => {
      if (i === own.length - 1) define(name, rest);
      else {
        define(name, `${rest} % ${n}`);
        const next = `rest${t}_${i}`;
        define(next, `Math.floor((${rest} - ${name}) / ${literal(n)} + 0.5)`);
        rest = next;
      }
    });
  });
  return output;
}
