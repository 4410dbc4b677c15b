/** Names of methods as papers write them. */
import { methodLabel } from '../../../src/finetune/methods.js';
import type { RunName } from './session.js';
import type { Settings } from './settings.js';

export { methodLabel };

export const labelOf = ({ method }: Pick<Settings, 'method'>, run: RunName): string =>
  methodLabel(run === 'flat' ? `flat-${method}` : method);
