/** Where downloads are kept, and whether what is kept is what was asked for (Node only). */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { type Either, flatMap, left, right } from 'fp-ts/lib/Either.js';
import { gunzip } from './gunzip.js';
import type { RemoteFile } from './remoteFiles.js';
import { type DataError, dataError } from './types.js';

/**
 * The operating system's cache directory for this library, from an environment that the caller
 * passes in (`process.env`, `process.platform`, `os.homedir()`).
 * - Linux and others: `$XDG_CACHE_HOME/flatlora`, else `~/.cache/flatlora`
 * - macOS: `~/Library/Caches/flatlora`
 * - Windows: `%LOCALAPPDATA%\flatlora\cache`, else below the home directory
 */
export function defaultCacheDir(
  env: Readonly<Record<string, string | undefined>>,
  platform: string,
  home: string,
): string {
  if (platform === 'darwin') return path.posix.join(home, 'Library', 'Caches', 'flatlora');
  if (platform === 'win32') {
    const local = env.LOCALAPPDATA;
    const base = local ? local : path.win32.join(home, 'AppData', 'Local');
    return path.win32.join(base, 'flatlora', 'cache');
  }
  // The XDG specification says that a relative path there is to be ignored.
  const xdg = env.XDG_CACHE_HOME;
  return path.posix.join(xdg?.startsWith('/') ? xdg : path.posix.join(home, '.cache'), 'flatlora');
}

/** SHA-256 in lower-case hexadecimal. */
export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

/**
 * The content of a downloaded file, if it is the pinned one: unpacked where the pin is about the
 * unpacked content (never beyond the pinned size), as sent otherwise.
 */
export const verify = (file: RemoteFile, sent: Uint8Array): Either<DataError, Uint8Array> =>
  flatMap((content: Uint8Array): Either<DataError, Uint8Array> => {
    if (content.length !== file.bytes) {
      return left(
        dataError(`${file.path}: ${content.length} bytes, the pinned file has ${file.bytes}`),
      );
    }
    const actual = sha256(content);
    return actual === file.sha256
      ? right(content)
      : left(dataError(`${file.path}: SHA-256 is ${actual}, the pinned file's is ${file.sha256}`));
  })(file.hashOf === 'unpacked' ? gunzip(sent, file.path, file.bytes) : right(sent));
