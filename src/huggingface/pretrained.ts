/** From `config.json` and tensors to one of our models, and back. */
import * as A from 'fp-ts/lib/Array.js';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import * as v from 'valibot';
import {
  fail,
  flatten,
  type HostArray,
  isHostArray,
  type Problem,
  problem,
  type Result,
  sameShape,
} from '../autodiff/index.js';
import type { Json, StoredTensor, TensorSource, WritableType } from '../checkpoints/index.js';
import { stored } from '../checkpoints/index.js';
import type { AnyArchitecture } from './architecture.js';
import { checked, shown } from './json.js';
import { oursOf, type Place, storedOf, storedShapeOf } from './places.js';
import { ARCHITECTURES } from './registry.js';

/** A model of a checkpoint. */
export interface Pretrained<W = unknown, C = unknown> {
  readonly architecture: AnyArchitecture;
  /** Ours, for the model's function. */
  readonly config: C;
  /** The content of config.json, kept as it was for saving. */
  readonly json: Json;
  readonly weights: W;
}

const named = v.looseObject({ architectures: v.pipe(v.array(v.string()), v.minLength(1)) });

/** The architecture that a config.json names; a problem that lists those we have when it is another. */
export const architectureOf = (json: unknown): Result<AnyArchitecture> =>
  pipe(
    checked(named, json, 'config.json'),
    E.flatMap(({ architectures }) => {
      const found = ARCHITECTURES.find(({ name }) => architectures.includes(name));
      return found === undefined
        ? fail(
            'checkpoint',
            `config.json: architectures is ${shown(architectures.join(', '))}, expected one of ${ARCHITECTURES.map(({ name }) => name).join(', ')}`,
          )
        : E.right(found);
    }),
  );

/** Names for a message: the first few, and how many more there are. */
export const listed = (names: readonly string[]): string =>
  names.slice(0, 5).map(shown).join(', ') +
  (names.length > 5 ? ` and ${names.length - 5} more` : '');

/** Prefixes that a checkpoint of the bare model lacks, or has besides: `model.`, `transformer.`. */
const withoutPrefix = (name: string): string => name.slice(name.indexOf('.') + 1);

/** The tensors' names as the source has them: some checkpoints were saved without the head's prefix. */
function naming(places: readonly Place[], { entries }: TensorSource): (name: string) => string {
  const has = (rename: (name: string) => string) =>
    places.filter(({ name }) => entries.has(rename(name))).length;
  const same = (name: string) => name;
  return has(withoutPrefix) > has(same) ? withoutPrefix : same;
}

/** What is wrong with a source for these places: missing, further and misshapen tensors, by name. */
export function misfit(
  places: readonly Place[],
  { entries }: TensorSource,
  { ignored }: Pick<AnyArchitecture, 'ignored'>,
  nameOf: (name: string) => string = (name) => name,
): Problem | undefined {
  const names = new Set(places.map(({ name }) => nameOf(name)));
  const missing = [...names].filter((name) => !entries.has(name));
  const extra = [...entries.keys()].filter(
    (name) => !names.has(name) && !ignored.some((pattern) => pattern.test(name)),
  );
  const misshapen = places.flatMap((place) => {
    const given = entries.get(nameOf(place.name))?.shape;
    const expected = storedShapeOf(place);
    return given === undefined || sameShape(given, expected)
      ? []
      : [`"${nameOf(place.name)}" is [${given.join()}], expected [${expected.join()}]`];
  });
  const faults = [
    ...(missing.length > 0 ? [`missing: ${listed(missing)}`] : []),
    ...(extra.length > 0 ? [`not of this model: ${listed(extra)}`] : []),
    ...(misshapen.length > 0 ? [`other shapes: ${listed(misshapen)}`] : []),
  ];
  return faults.length === 0 ? undefined : problem('checkpoint', `tensors ${faults.join('; ')}`);
}

/** The places by the tensor that they stand in. */
function byTensor(places: readonly Place[]): ReadonlyMap<string, readonly Place[]> {
  const groups = new Map<string, Place[]>();
  for (const place of places) {
    groups.set(place.name, [...(groups.get(place.name) ?? []), place]);
  }
  return groups;
}

type Branch = { [key: string]: Branch | unknown };

/** A tree with these leaves; where all keys of a node are numbers it is a list. */
export function treeOfPaths(leaves: readonly (readonly [string, unknown])[]): unknown {
  const root: Branch = Object.create(null);
  for (const [path, leaf] of leaves) {
    const parts = path.split('.');
    const last = parts.pop() as string;
    let at = root;
    for (const part of parts) {
      const below = (at[part] ?? Object.create(null)) as Branch;
      at[part] = below;
      at = below;
    }
    at[last] = leaf;
  }
  const finished = (node: unknown): unknown => {
    if (typeof node !== 'object' || node === null || Object.getPrototypeOf(node) !== null) {
      return node;
    }
    const entries = Object.entries(node).map(([k, below]) => [k, finished(below)] as const);
    return entries.every(([k]) => /^\d+$/.test(k))
      ? entries.toSorted(([a], [b]) => Number(a) - Number(b)).map(([, below]) => below)
      : Object.fromEntries(entries);
  };
  return finished(root);
}

/**
 * Reads the arrays of a model, one tensor after another. `place` says what becomes of each: to keep it
 * on the host by default, or to upload it and forget the host's copy.
 */
export function readWeights<L = HostArray>(
  architecture: AnyArchitecture,
  config: unknown,
  source: TensorSource,
  place: (array: HostArray, path: string) => L = (array) => array as L,
): TE.TaskEither<Problem, unknown> {
  const places = architecture.places(config);
  const nameOf = naming(places, source);
  const wrong = misfit(places, source, architecture, nameOf);
  if (wrong !== undefined) return TE.left(wrong);
  return pipe(
    [...byTensor(places)],
    A.map(([name, sharing]) =>
      pipe(
        source.read(nameOf(name)),
        TE.map((tensor) => sharing.map((p) => [p.path, place(oursOf(tensor, p), p.path)] as const)),
      ),
    ),
    TE.sequenceSeqArray,
    TE.map((groups) => {
      const leaves = new Map(groups.flat());
      return treeOfPaths(places.map(({ path }) => [path, leaves.get(path)]));
    }),
  );
}

/** The model of a config.json and its tensors. */
export const pretrained = (
  json: unknown,
  source: TensorSource,
): TE.TaskEither<Problem, Pretrained> =>
  pipe(
    TE.fromEither(architectureOf(json)),
    TE.bindTo('architecture'),
    TE.bind('config', ({ architecture }) => TE.fromEither(architecture.config(json))),
    TE.bind('weights', ({ architecture, config }) => readWeights(architecture, config, source)),
    TE.map((parts) => ({ ...parts, json: json as Json })),
  );

/** A tree's arrays as the tensors of a checkpoint, each when it is asked for. */
export function tensorsToSave(
  { places }: AnyArchitecture,
  config: unknown,
  weights: unknown,
): Result<ReadonlyMap<string, () => StoredTensor<WritableType>>> {
  const { leaves, paths } = flatten<unknown>(weights);
  const arrays = new Map(paths.map((path, i) => [path, leaves[i]]));
  const all = places(config);
  const odd = all.find((p) => {
    const array = arrays.get(p.path);
    return !isHostArray(array) || !sameShape(array.shape, p.shape);
  });
  if (odd !== undefined) {
    return fail(
      'checkpoint',
      `weights: "${odd.path}" is not an array [${odd.shape.join()}] on the host; merge or download it first`,
    );
  }
  if (arrays.size !== all.length) {
    const known = new Set(all.map(({ path }) => path));
    return fail(
      'checkpoint',
      `weights: no place in the checkpoint for ${listed(paths.filter((path) => !known.has(path)))}`,
    );
  }
  return E.right(
    new Map(
      [...byTensor(all)].map(([name, sharing]) => [
        name,
        () => stored(storedOf(sharing.map((p) => [p, arrays.get(p.path) as HostArray]))),
      ]),
    ),
  );
}
