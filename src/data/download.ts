/**
 * Downloads with a pinned hash, a cache and resumption (Node only).
 *
 * Bytes go to `<file>.part` first; a later call goes on where that ended, with an HTTP Range
 * request. Only a file whose hash was verified gets its final name, by one atomic rename, so the
 * cache never holds a half or a wrong file under it. Two processes that download the same file at
 * once disturb each other's `.part`; the hash notices, and the loser starts again.
 */
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { verify } from './cache.js';
import { errorCode } from './errorCode.js';
import type { RemoteFile } from './remoteFiles.js';
import { type DataError, dataError } from './types.js';

/** How far a download has come. */
export interface DownloadProgress {
  readonly url: string;
  /** Bytes on disk so far, resumed ones included. */
  readonly received: number;
  /** Bytes of the whole file, where the server says so. */
  readonly total: number | undefined;
}

export interface DownloadOptions {
  /** Directory of the cache; created where it is missing. */
  readonly cacheDir: string;
  /** Called after every piece that arrives. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Milliseconds without a single byte after which to give up; default 30,000. */
  readonly timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** A packed file may be this much larger than its content: gzip's headers on hard content. */
const PACKING_OVERHEAD = 64 * 1024;

/** Why one attempt failed. */
interface Failure {
  readonly error: DataError;
  /** Whether to forget what is there and start again: the partial file is not the right one. */
  readonly restart: boolean;
}

const failure = (message: string, restart = false): E.Either<Failure, never> =>
  E.left({ error: dataError(message), restart });

const sizeOf = (file: string): Promise<number> =>
  stat(file).then(
    (found) => found.size,
    () => 0,
  );

const OFFLINE = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const DISK = new Set(['EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EISDIR', 'ENOTDIR']);

/** What stands in `Content-Range: bytes 100-199/200`: the first byte and the whole size. */
function contentRange(header: string | null): { first: number; total: number | undefined } | null {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header ?? '');
  return (
    match && { first: Number(match[1]), total: match[2] === '*' ? undefined : Number(match[2]) }
  );
}

/** One request, from `have` bytes on, into `part`. Right: the response ended as it should. */
async function request(
  file: RemoteFile,
  url: string,
  part: string,
  { onProgress, timeoutMs = DEFAULT_TIMEOUT_MS }: DownloadOptions,
): Promise<E.Either<Failure, void>> {
  const have = await sizeOf(part);
  const most = file.bytes + (file.hashOf === 'unpacked' ? PACKING_OVERHEAD : 0);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  let received = have;
  let handle: FileHandle | undefined;
  try {
    // identity: a transparently unpacked answer would make Range and sizes meaningless.
    const headers: Record<string, string> = { 'Accept-Encoding': 'identity' };
    if (have > 0) headers.Range = `bytes=${have}-`;
    const response = await fetch(url, { headers, signal: stop.signal });
    timer.refresh();
    // 416: nothing is left to send. The part file is whole, or wrong; its hash will tell.
    if (response.status === 416 && have > 0) return E.right(undefined);
    if (response.status !== 200 && response.status !== 206) {
      return failure(`${url}: the server refused: HTTP ${response.status} ${response.statusText}`);
    }
    const range =
      response.status === 206 ? contentRange(response.headers.get('content-range')) : null;
    if (response.status === 206 && range?.first !== have) {
      return failure(`${url}: the server resumed at the wrong byte`, true);
    }
    const length = response.headers.get('content-length');
    const total = range ? range.total : length === null ? undefined : Number(length);
    if (total !== undefined && total > most) {
      return failure(`${url}: the server offers ${total} bytes, at most ${most} expected`);
    }
    // A server that ignores Range answers 200 with the whole file: write it from the start.
    received = range ? have : 0;
    handle = await open(part, range ? 'a' : 'w');
    for await (const piece of response.body ?? []) {
      timer.refresh();
      received += piece.length;
      if (received > most) return failure(`${url}: sends more than ${most} bytes`, true);
      await handle.writeFile(piece); // at the handle's position, all of it
      onProgress?.({ url, received, total });
    }
    if (total !== undefined && received < total) return truncated(url, received, total);
    await handle.sync();
    return E.right(undefined);
  } catch (thrown) {
    if (stop.signal.aborted) {
      return failure(`${url}: no data for ${timeoutMs} ms, ${received} bytes are kept to resume`);
    }
    const code = errorCode(thrown);
    if (DISK.has(code)) return failure(`${part}: cannot be written (${code})`);
    if (handle !== undefined) return truncated(url, received, undefined);
    return failure(`${url}: ${OFFLINE.has(code) ? 'offline or unreachable' : 'failed'} (${code})`);
  } finally {
    clearTimeout(timer);
    stop.abort(); // frees the connection of an answer that was not read to its end
    await handle?.close();
  }
}

const truncated = (url: string, received: number, total: number | undefined) =>
  failure(
    `${url}: truncated after ${received} of ${total ?? 'unknown'} bytes; they are kept to resume`,
  );

/** Fetches into the part file and verifies; at most one fresh start after a wrong partial file. */
async function fromUrl(
  file: RemoteFile,
  url: string,
  part: string,
  options: DownloadOptions,
): Promise<E.Either<DataError, Uint8Array>> {
  const resumed = (await sizeOf(part)) > 0;
  const sent = await request(file, url, part, options);
  const checked: E.Either<Failure, Uint8Array> = E.isLeft(sent)
    ? sent
    : E.mapLeft((error: DataError): Failure => ({ error, restart: true }))(
        verify(file, new Uint8Array(await readFile(part))),
      );
  if (E.isRight(checked)) return checked;
  if (checked.left.restart) await rm(part, { force: true });
  return checked.left.restart && resumed
    ? fromUrl(file, url, part, options)
    : E.left(checked.left.error);
}

/**
 * The verified content of `file` (unpacked where the pin says so): from the cache, else from its
 * addresses in turn. A cached file that fails its check is fetched again.
 * @returns Left with a one-line reason; with several addresses, the reasons of all.
 */
export const download =
  (file: RemoteFile, options: DownloadOptions): TaskEither<DataError, Uint8Array> =>
  async () => {
    const final = path.join(options.cacheDir, file.path);
    const part = `${final}.part`;
    try {
      const cached = await readFile(final).catch(() => undefined);
      if (cached !== undefined) {
        const content = verify(file, new Uint8Array(cached));
        if (E.isRight(content)) return content;
      }
      await mkdir(path.dirname(final), { recursive: true });
      const reasons: string[] = [];
      for (const url of file.urls) {
        const content = await fromUrl(file, url, part, options);
        if (E.isRight(content)) {
          await rename(part, final);
          return content;
        }
        reasons.push(content.left.message);
      }
      return E.left(dataError(reasons.join('; ')));
    } catch (thrown) {
      return E.left(dataError(`${final}: cannot be written (${errorCode(thrown)})`));
    }
  };
