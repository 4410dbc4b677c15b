/**
 * Layer ids: the number by which a layer's name picks its own random stream.
 *
 * The noise of a layer is drawn from `foldIn(key, layerId(name))`, so it depends on the key and the
 * name alone: not on the order in which layers are visited, nor on which other layers exist.
 */
import * as E from 'fp-ts/lib/Either.js';
import { fail, type Result } from '../autodiff/index.js';

/**
 * The 32-bit FNV-1a hash of a name's UTF-8 bytes, 0 … 2³² − 1.
 *
 *     h ← 2166136261;  for each byte:  h ← (h xor byte) · 16777619  mod 2³²
 *
 * Reference: Fowler, Noll, Vo, "The FNV non-cryptographic hash algorithm" (IETF RFC 9923).
 */
export function layerId(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash >>> 0;
}

/** The names, or the problem that two of them have one id and so would share their noise. */
export function distinctLayerIds(names: readonly string[]): Result<readonly string[]> {
  const owners = new Map<number, string>();
  for (const name of names) {
    const id = layerId(name);
    const other = owners.get(id);
    if (other !== undefined && other !== name) {
      return fail(
        'argument',
        `layer names: "${other}" and "${name}" have the same 32-bit id ${id}, so they would share their random numbers; rename one`,
      );
    }
    owners.set(id, name);
  }
  return E.right(names);
}
