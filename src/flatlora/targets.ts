/**
 * Which weight matrices an adapter stands on.
 *
 * A weight's name is its path in the tree of weights, such as `blocks.0.attention.query.weight`; a
 * trailing `.weight` may be left out. A target is
 *
 * - a text: the whole name, or its last parts (`query`, `attention.query`);
 * - a regular expression that matches anywhere in the name.
 *
 * The rule is that of PEFT's `target_modules` (huggingface/peft, `check_target_module_exists`),
 * except that there a regular expression must match the whole name.
 */
import * as E from 'fp-ts/lib/Either.js';
import { type Aval, fail, flatten, type Result } from '../autodiff/index.js';
import { nearMatches } from './nearMatches.js';

export type Target = string | RegExp;

/** `blocks.0.query.weight` → `blocks.0.query` */
export const moduleName = (path: string): string => path.replace(/\.weight$/, '');

export const isMatrix = ({ shape }: Pick<Aval, 'shape'>): boolean => shape.length === 2;

const matches = (target: Target, path: string): boolean =>
  typeof target === 'string'
    ? [path, moduleName(path)].some((name) => name === target || name.endsWith(`.${target}`))
    : // A new expression, for one with the flag g or y remembers where it stopped.
      new RegExp(target.source, target.flags.replace(/[gy]/g, '')).test(path);

/** All endings of a name at its dots: `a.b.c`, `b.c`, `c`. */
const endings = (name: string): readonly string[] =>
  name.split('.').map((_, i, parts) => parts.slice(i).join('.'));

const show = (target: Target): string => (typeof target === 'string' ? `"${target}"` : `${target}`);

/**
 * The paths of the matrices that the targets name, in the order of the tree.
 * @returns a problem of kind `target-modules` when a target names no matrix; it lists near matches.
 */
export function selectTargets(
  base: unknown,
  targets: readonly Target[],
): Result<readonly string[]> {
  const { leaves, paths } = flatten<Pick<Aval, 'shape'>>(base);
  return selectAmong(
    paths,
    paths.filter((_, i) => isMatrix(leaves[i] as Aval)),
    targets,
  );
}

/** `selectTargets` where the names of all arrays and of the matrices among them are known already. */
export function selectAmong(
  paths: readonly string[],
  matrices: readonly string[],
  targets: readonly Target[],
): Result<readonly string[]> {
  // Who calls from JavaScript may have left them out.
  if (!Array.isArray(targets) || targets.length === 0) {
    return fail('target-modules', 'targetModules: none given, expected at least one');
  }
  for (const target of targets) {
    if (matrices.some((path) => matches(target, path))) continue;
    const others = paths.filter((path) => matches(target, path));
    if (others.length > 0) {
      return fail(
        'target-modules',
        `targetModules: ${show(target)} names "${others[0]}", which is no matrix; expected weights of linear layers`,
      );
    }
    const modules = matrices.map(moduleName);
    const near =
      typeof target === 'string'
        ? nearMatches(target, modules.flatMap(endings))
        : [...new Set(modules.map((name) => endings(name).at(-1) as string))].slice(0, 8);
    return fail(
      'target-modules',
      `targetModules: ${show(target)} names no weight matrix; ${typeof target === 'string' ? 'near matches' : 'there are'}: ${near.join(', ')}`,
    );
  }
  return E.right(matrices.filter((path) => targets.some((target) => matches(target, path))));
}
