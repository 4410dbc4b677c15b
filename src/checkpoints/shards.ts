/** The index of a checkpoint in shards: which file holds which tensor. */
import * as E from 'fp-ts/lib/Either.js';
import { fail, type Result } from '../autodiff/index.js';
import { duplicateKey } from './safetensors/duplicateKey.js';

/** Larger indexes than any model has. */
const MAX_BYTES = 100_000_000;

/** A plain name of a safetensors file: no folders, no drive, nothing hidden. */
const SHARD = /^[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors$/;

const bad = (message: string) => fail('checkpoint', `index: ${message}`);

/**
 * The shard of each tensor, from the bytes of `model.safetensors.index.json`.
 * @returns a problem of kind `checkpoint` for anything but plain file names.
 */
export function shardsOf(bytes: Uint8Array): Result<ReadonlyMap<string, string>> {
  if (bytes.length > MAX_BYTES) return bad(`${bytes.length} bytes, expected at most ${MAX_BYTES}`);
  let json: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text);
    const twice = duplicateKey(text);
    if (twice !== undefined) return bad(`names ${JSON.stringify(twice.slice(0, 80))} twice`);
  } catch {
    return bad('not valid JSON');
  }
  const map = (json as { readonly weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    return bad('weight_map is missing, expected an object of file names');
  }
  const shards = Object.entries(map);
  const odd = shards.find(([, file]) => typeof file !== 'string' || !SHARD.test(file));
  return odd === undefined
    ? E.right(new Map(shards as [string, string][]))
    : bad(
        `the shard of "${odd[0].slice(0, 80)}" is ${JSON.stringify(odd[1])?.slice(0, 80)}, expected the name of a .safetensors file`,
      );
}
