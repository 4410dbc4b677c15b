/** Just enough of the ustar format to take named files out of CIFAR's archives. */
import { type Either, left, right } from 'fp-ts/lib/Either.js';
import { type DataError, dataError } from './types.js';

const BLOCK = 512;

/** A header's text field: up to its first zero byte. */
const field = (bytes: Uint8Array, at: number, length: number): string =>
  new TextDecoder('latin1').decode(bytes.subarray(at, at + length)).split('\0')[0] ?? '';

/**
 * The bytes of the archive's member `path`, sharing the archive's memory. Nothing is ever written
 * to disk, so a hostile path in the archive has no effect.
 * @returns Left where the member is missing, or a header's size runs over the end.
 */
export function tarMember(
  archive: Uint8Array,
  path: string,
  file = 'tar',
): Either<DataError, Uint8Array> {
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const name = field(archive, at, 100);
    if (name === '') break; // two zero blocks end an archive
    const octal = field(archive, at + 124, 12).trim();
    const size = /^[0-7]+$/.test(octal) ? Number.parseInt(octal, 8) : Number.NaN;
    const start = at + BLOCK;
    if (!(start + size <= archive.length)) {
      return left(dataError(`${file}: member '${name.slice(0, 40)}' is truncated or damaged`));
    }
    if (name === path) return right(archive.subarray(start, start + size));
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return left(dataError(`${file}: no member '${path}'`));
}
