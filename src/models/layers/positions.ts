/** Where a token stands: learned, sinusoidal and rotary positions. */
import {
  add,
  concat,
  constant,
  FlatloraError,
  floats,
  gather,
  type HostArray,
  mul,
  range,
  reshape,
  sliceAxis,
  sub,
  type Value,
  widened,
} from '../../autodiff/index.js';
import type { EmbeddingWeights } from './embedding.js';
import { type RotaryScaling, rotarySpeeds } from './rotaryScaling.js';

/** Where tokens stand, when that is known only as the program runs (text that is being written). */
export interface GivenPositions {
  /** int [b, T] */
  readonly at: Value;
  /** They are all below this number. */
  readonly below: number;
}

/**
 * x [b, T, width] plus the first T rows of a learned table, or those of the given positions.
 * @throws FlatloraError when the table has fewer rows than there are positions.
 */
export function learnedPositions(
  { weight }: EmbeddingWeights,
  x: Value,
  given?: GivenPositions,
): Value {
  const length = x.shape[1] as number;
  const longest = weight.shape[0] as number;
  const most = given?.below ?? length;
  if (most > longest) {
    throw new FlatloraError(
      'shape',
      `positions: the sequence has ${given === undefined ? '' : 'up to '}${most} tokens, expected at most ${longest} (maxLength)`,
    );
  }
  if (given !== undefined) return add(x, widened(gather(weight, given.at)));
  return add(x, widened(length === longest ? weight : sliceAxis(weight, 0, 0, length)));
}

/** θ^(−2⌊i/2⌋/width) · position. */
const angle = (position: number, i: number, width: number, theta: number): number =>
  position * theta ** (-(2 * Math.floor(i / 2)) / width);

/**
 * The table [length, width] of Vaswani et al. 2017, §3.5: sines in even columns, cosines in odd
 * ones, wavelengths from 2π to 10000·2π.
 */
export const sinusoidalTable = (length: number, width: number): HostArray =>
  floats(
    range(length).flatMap((t) =>
      range(width).map((i) => (i % 2 === 0 ? Math.sin : Math.cos)(angle(t, i, width, 10_000))),
    ),
    [length, width],
  );

/** x [b, T, width] plus the sinusoidal table. */
export const sinusoidalPositions = (x: Value, given?: GivenPositions): Value => {
  const [, length, width] = x.shape as readonly [number, number, number];
  return given === undefined
    ? add(x, constant(sinusoidalTable(length, width)))
    : add(x, gather(constant(sinusoidalTable(given.below, width)), given.at));
};

/**
 * Rotary positions on queries or keys [b, T, heads, d], d even: the pair (xᵢ, xᵢ₊d⸝₂) is turned by
 * position · θ^(−2i/d), so that scores depend on distances alone. Su et al., "RoFormer", 2021; the
 * pairing is that of Llama.
 * @param given where the tokens stand, if not at 0 … T − 1.
 * @param scaling how a model was taught longer texts than it was first trained on.
 */
export function rotary(
  x: Value,
  theta = 10_000,
  given?: GivenPositions,
  scaling?: RotaryScaling,
): Value {
  const [batch, length, , d] = x.shape as readonly [number, number, number, number];
  const half = d / 2;
  const rows = given?.below ?? length;
  const { speeds, factor } = rotarySpeeds(d, theta, scaling);
  const table = (f: (angle: number) => number): Value => {
    const numbers = range(rows).flatMap((t) => speeds.map((speed) => factor * f(t * speed)));
    const whole = constant(floats(numbers, [rows, half]));
    return given === undefined
      ? reshape(whole, [1, length, 1, half])
      : reshape(gather(whole, given.at), [batch, length, 1, half]);
  };
  const [cos, sin] = [table(Math.cos), table(Math.sin)];
  const [first, second] = [sliceAxis(x, -1, 0, half), sliceAxis(x, -1, half, d)];
  return concat(
    [sub(mul(first, cos), mul(second, sin)), add(mul(second, cos), mul(first, sin))],
    -1,
  );
}
