/** Near matches of a misspelt name. */

/**
 * The least number of insertions, deletions and replacements that turn one text into the other.
 *
 * Reference: Wagner, Fischer, "The string-to-string correction problem", 1974.
 */
export function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replace = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}

/** The `count` candidates nearest to a name, the nearest first; ties in alphabetical order. */
export const nearMatches = (
  name: string,
  candidates: readonly string[],
  count = 3,
): readonly string[] =>
  [...new Set(candidates)]
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((x, y) => x.distance - y.distance || (x.candidate < y.candidate ? -1 : 1))
    .slice(0, count)
    .map(({ candidate }) => candidate);
