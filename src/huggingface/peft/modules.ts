/** Which modules of a Hugging Face model are which weight matrices of ours. */
import * as E from 'fp-ts/lib/Either.js';
import { fail, type Result } from '../../autodiff/index.js';
import { selectAmong, type Target } from '../../flatlora/index.js';
import type { AnyArchitecture } from '../architecture.js';
import type { Place } from '../places.js';
import { listed } from '../pretrained.js';

const WEIGHT = /\.weight$/;

/** A module with a weight matrix, and the places of the matrices of ours that it holds, in their order. */
export interface Module {
  readonly name: string;
  readonly places: readonly Place[];
}

/** Linear layers and embeddings, by name. */
export function modulesOf(
  { places }: AnyArchitecture,
  config: unknown,
): ReadonlyMap<string, Module> {
  const modules = new Map<string, Module>();
  for (const place of places(config) as readonly Place[]) {
    if (place.shape.length !== 2 || !WEIGHT.test(place.name)) continue;
    const name = place.name.replace(WEIGHT, '');
    const others = modules.get(name)?.places ?? [];
    modules.set(name, { name, places: [...others, place] });
  }
  return modules;
}

/** As in PEFT: the whole name, or its last parts. */
const isNamed = (target: string, name: string): boolean =>
  name === target || name.endsWith(`.${target}`);

/**
 * Targets by Hugging Face's names (`q_proj`, `c_attn`) or ours (`query`) as paths of ours. A module that
 * holds several matrices stands for all of them.
 * @returns a problem of kind `target-modules` when a name is none of either.
 */
export function targetPaths(
  architecture: AnyArchitecture,
  config: unknown,
  targets: readonly Target[],
): Result<readonly string[]> {
  const modules = [...modulesOf(architecture, config).values()];
  const places = architecture.places(config) as readonly Place[];
  const all = places.map(({ path }) => path);
  const matrices = places.filter(({ shape }) => shape.length === 2).map(({ path }) => path);
  const paths: string[] = [];
  for (const target of targets) {
    const theirs =
      typeof target === 'string' ? modules.filter(({ name }) => isNamed(target, name)) : [];
    if (theirs.length > 0) {
      paths.push(...theirs.flatMap(({ places }) => places.map(({ path }) => path)));
      continue;
    }
    const ours = selectAmong(all, matrices, [target]);
    if (E.isLeft(ours)) {
      const names = [...new Set(modules.map(({ name }) => name.split('.').at(-1) as string))];
      return fail(
        'target-modules',
        `${ours.left.message}; modules of the checkpoint: ${listed(names)}`,
      );
    }
    paths.push(...ours.right);
  }
  return E.right([...new Set(paths)]);
}

/** The shortest list of names that PEFT would read as these modules and no others. */
export function shortNames(adapted: readonly string[], all: Iterable<string>): readonly string[] {
  const last = (name: string) => name.split('.').at(-1) as string;
  const chosen = new Set(adapted);
  const others = new Set([...all].filter((name) => !chosen.has(name)).map(last));
  return [...new Set(adapted.map((name) => (others.has(last(name)) ? name : last(name))))].sort();
}
