/** Run configurations as plain JSON data: one text for equal ones, words for different ones. */

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** The JSON text with sorted keys, equal for equal data. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const record = value as { readonly [key: string]: Json };
    const fields = Object.keys(record)
      .sort()
      .map((k) => `${JSON.stringify(k)}:${canonicalJson(record[k] as Json)}`);
    return `{${fields.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Every leaf of the data by its place. */
function leavesOf(value: Json, path: string, into: Map<string, string>): Map<string, string> {
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
    for (const [k, below] of Object.entries(value)) {
      leavesOf(below, path === '' ? k : `${path}.${k}`, into);
    }
    return into;
  }
  return into.set(path, canonicalJson(value));
}

/** What differs, as words such as `learningRate: 0.1 saved, 0.2 now`; empty for equal data. */
export function differences(saved: Json, now: Json): readonly string[] {
  const [a, b] = [leavesOf(saved, '', new Map()), leavesOf(now, '', new Map())];
  const places = [...new Set([...a.keys(), ...b.keys()])].sort();
  return places
    .filter((place) => a.get(place) !== b.get(place))
    .map((place) => {
      const [was, is] = [a.get(place) ?? 'absent', b.get(place) ?? 'absent'];
      return `${place === '' ? 'value' : place}: ${was} saved, ${is} now`;
    });
}
