import { erf } from '../../src/autodiff/primitives/special.js';

/** Φ(x) = ½(1 + erf(x/√2)) */
export const cdf = (x: number): number => (1 + erf(x * Math.SQRT1_2)) / 2;
