/** Trees from arrays named by their places: `blocks.0.mlp.fc1.weight`. */

export type Tree<L> = L | { readonly [key: string]: Tree<L> } | readonly Tree<L>[];

/** Objects whose keys are 0, 1, … become lists. */
export function treeOf<L>(named: Readonly<Record<string, L>>): Tree<L> {
  const own = named[''];
  if (own !== undefined) return own;
  const children = new Map<string, Record<string, L>>();
  for (const [path, leaf] of Object.entries(named)) {
    const dot = path.indexOf('.');
    const [first, rest] = dot < 0 ? [path, ''] : [path.slice(0, dot), path.slice(dot + 1)];
    const child = children.get(first) ?? {};
    child[rest] = leaf;
    children.set(first, child);
  }
  const keys = [...children.keys()];
  const child = (key: string) => treeOf(children.get(key) ?? {});
  return keys.length > 0 && keys.every((_, i) => children.has(String(i)))
    ? keys.map((_, i) => child(String(i)))
    : Object.fromEntries(keys.map((key) => [key, child(key)]));
}

/** Factors named `<path of the weight>.a` and `.b`, by the path of the weight. */
export function factorsOf<L>(
  named: Readonly<Record<string, L>>,
): Readonly<Record<string, { readonly a: L; readonly b: L }>> {
  const paths = Object.keys(named).flatMap((name) =>
    name.endsWith('.a') ? name.slice(0, -2) : [],
  );
  return Object.fromEntries(
    paths.map((path) => [path, { a: named[`${path}.a`] as L, b: named[`${path}.b`] as L }]),
  );
}
