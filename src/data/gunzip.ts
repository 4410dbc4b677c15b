/** Unpacking with a limit (Node only): a small hostile file must not fill the memory. */
import { gunzipSync } from 'node:zlib';
import { type Either, left, right, tryCatch } from 'fp-ts/lib/Either.js';
import { errorCode } from './errorCode.js';
import { type DataError, dataError } from './types.js';

/** Whether bytes begin like a gzip file. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The default limit of an unpacked file: 256 MiB (CIFAR-100's archive unpacks to 185 MB). */
export const MAX_UNPACKED = 256 * 2 ** 20;

/**
 * Unpacks gzip bytes; bytes that are not gzip are returned as they are.
 * @param maxBytes largest result that is accepted; unpacking stops there.
 * @returns Left for a damaged, truncated or too large file.
 */
export function gunzip(
  bytes: Uint8Array,
  file = 'gzip',
  maxBytes = MAX_UNPACKED,
): Either<DataError, Uint8Array> {
  if (!isGzip(bytes)) {
    return bytes.length <= maxBytes
      ? right(bytes)
      : left(dataError(`${file}: ${bytes.length} bytes, at most ${maxBytes} expected`));
  }
  return tryCatch(
    () => new Uint8Array(gunzipSync(bytes, { maxOutputLength: maxBytes })),
    (cause) => {
      const code = errorCode(cause);
      if (code === 'ERR_BUFFER_TOO_LARGE') {
        return dataError(`${file}: unpacks to more than ${maxBytes} bytes`);
      }
      return dataError(
        code === 'Z_BUF_ERROR'
          ? `${file}: the gzip file is truncated`
          : `${file}: the gzip file is damaged (${code})`,
      );
    },
  );
}
