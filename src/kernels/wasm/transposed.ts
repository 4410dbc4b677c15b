/** A 4 × 4 matrix in four vectors, turned. */
import type { Code } from './encoding.js';
import { get, v128 } from './instructions.js';
import type { Local, Writer } from './writer.js';

/** Four vectors as the columns of a 4 × 4 matrix of which they are the rows. */
export function transposed(rows: readonly Code[], writer: Writer): readonly Local[] {
  const [a, b, c, d] = rows as readonly [Code, Code, Code, Code];
  const define = (x: Code) => writer.define('v128', x);
  const halves = (lanes: readonly number[]) =>
    [define(v128.shuffle(a, b, lanes)), define(v128.shuffle(c, d, lanes))] as const;
  const columns = ([x, y]: readonly [Local, Local]) =>
    [
      define(v128.shuffle(get(x), get(y), [0, 1, 4, 5])),
      define(v128.shuffle(get(x), get(y), [2, 3, 6, 7])),
    ] as const;
  return [...columns(halves([0, 4, 1, 5])), ...columns(halves([2, 6, 3, 7]))];
}
