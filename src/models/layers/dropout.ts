/** Dropout with an explicit key. Srivastava et al. 2014, scaled while training ("inverted"). */
import { dropout as dropoutByKey, type Value } from '../../autodiff/index.js';
import type { MaybeKey } from '../weights.js';

/** x with a share `rate` of its elements zeroed and the rest scaled up; x itself without a key. */
export const dropout = (rate: number, key: MaybeKey, x: Value): Value =>
  key === undefined || rate === 0 ? x : dropoutByKey(key, rate, x);
