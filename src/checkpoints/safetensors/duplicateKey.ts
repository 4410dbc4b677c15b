/**
 * `JSON.parse` silently keeps the last of two equal keys, so that two readers of one file may see
 * different tensors. This finds such a key.
 */

/** The first key that an object of a valid JSON text has twice, or `undefined`. */
export function duplicateKey(json: string): string | undefined {
  // One entry per open bracket: the keys of an object so far, nothing for an array.
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < json.length; i++) {
    switch (json[i]) {
      case '{':
        open.push(new Set());
        break;
      case '[':
        open.push(undefined);
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case '"': {
        const start = i;
        for (i++; json[i] !== '"'; i++) if (json[i] === '\\') i++;
        const keys = open.at(-1);
        if (keys === undefined || !isFollowedByColon(json, i + 1)) break;
        const key = JSON.parse(json.slice(start, i + 1)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
        break;
      }
    }
  }
  return undefined;
}

function isFollowedByColon(json: string, from: number): boolean {
  let i = from;
  while (json[i] === ' ' || json[i] === '\n' || json[i] === '\r' || json[i] === '\t') i++;
  return json[i] === ':';
}
