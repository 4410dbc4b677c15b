import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  type DownloadOptions,
  type DownloadProgress,
  defaultCacheDir,
  download,
  type RemoteFile,
  sha256,
} from '../../src/data/index.js';
import { message, ok } from './helpers.js';
import { startServer, type TestServer } from './server.js';

const SIZE = 200_000;
/** Bytes that gzip cannot shrink much and that differ at every place. */
const content = Uint8Array.from({ length: SIZE }, (_, i) => (i * i * 31 + (i >> 7)) & 0xff);
const other = content.map((byte) => byte ^ 1);
const packed = new Uint8Array(gzipSync(content));

let server: TestServer;
let cacheDir: string;

beforeEach(async () => {
  server = await startServer({ content });
  cacheDir = mkdtempSync(path.join(tmpdir(), 'flatlora-test-'));
});

afterEach(async () => {
  await server.close();
  rmSync(cacheDir, { recursive: true, force: true });
});

const pin = (change: Partial<RemoteFile> = {}): RemoteFile => ({
  path: 'set/file.bin',
  urls: [server.url],
  bytes: SIZE,
  sha256: sha256(content),
  hashOf: 'file',
  ...change,
});

const get = (change: Partial<RemoteFile> = {}, options: Partial<DownloadOptions> = {}) =>
  download(pin(change), { cacheDir, timeoutMs: 2000, ...options })();

const finalPath = (): string => path.join(cacheDir, 'set', 'file.bin');
const partPath = (): string => `${finalPath()}.part`;
const same = (bytes: Uint8Array): boolean => Buffer.compare(bytes, content) === 0;

/** Leaves `bytes` as the partial file of an earlier try. */
async function leavePart(bytes: Uint8Array): Promise<void> {
  await mkdir(path.dirname(partPath()), { recursive: true });
  writeFileSync(partPath(), bytes);
}

describe('a download', () => {
  it('is verified, kept, and not repeated', async () => {
    const seen: DownloadProgress[] = [];
    expect(same(ok(await get({}, { onProgress: (progress) => seen.push(progress) })))).toBe(true);
    expect(seen.at(-1)).toEqual({ url: server.url, received: SIZE, total: SIZE });
    expect(seen.map((progress) => progress.received)).toEqual(
      seen.map((progress) => progress.received).toSorted((a, b) => a - b),
    );
    expect(same(readFileSync(finalPath()))).toBe(true);
    expect(existsSync(partPath())).toBe(false);
    expect(same(ok(await get()))).toBe(true);
    expect(server.ranges).toEqual(['']);
  });

  it('works without a Content-Length', async () => {
    server.behave({ content, chunked: true });
    expect(same(ok(await get()))).toBe(true);
  });

  it('keeps what came before a cut and resumes there', async () => {
    server.behave({ content, cutAfter: 70_000 });
    expect(message(await get())).toMatch(/file: truncated after 70000 of .*kept to resume$/);
    expect(existsSync(finalPath())).toBe(false);
    server.behave({ content });
    expect(same(ok(await get()))).toBe(true);
    expect(server.ranges).toEqual(['', 'bytes=70000-']);
  });

  it('starts again where the server ignores Range', async () => {
    await leavePart(content.subarray(0, 70_000));
    server.behave({ content, ranges: false });
    expect(same(ok(await get()))).toBe(true);
    expect(server.ranges).toEqual(['bytes=70000-']);
  });

  it('uses a partial file that is in fact whole (416)', async () => {
    await leavePart(content);
    expect(same(ok(await get()))).toBe(true);
    expect(server.ranges).toEqual([`bytes=${SIZE}-`]);
  });

  it.each([
    ['has other bytes', () => other.subarray(0, 70_000)],
    ['is too long', () => new Uint8Array(SIZE + 5)],
  ])('fetches the whole file where the partial one %s', async (_, bytes) => {
    await leavePart(bytes());
    expect(same(ok(await get()))).toBe(true);
    expect(server.ranges).toHaveLength(2);
    expect(server.ranges[1]).toBe('');
  });

  it('starts again where the server resumes at the wrong byte', async () => {
    await leavePart(content.subarray(0, 70_000));
    server.behave({ content, wrongStart: 3 });
    expect(same(ok(await get()))).toBe(true);
    expect(server.ranges).toEqual(['bytes=70000-', '']);
  });

  it('replaces a cached file that was damaged', async () => {
    ok(await get());
    writeFileSync(finalPath(), other);
    expect(same(ok(await get()))).toBe(true);
    expect(same(readFileSync(finalPath()))).toBe(true);
  });

  it('refuses another content and leaves nothing behind', async () => {
    server.behave({ content: other });
    expect(message(await get())).toBe(
      `set/file.bin: SHA-256 is ${sha256(other)}, the pinned file's is ${sha256(content)}`,
    );
    expect(existsSync(finalPath())).toBe(false);
    expect(existsSync(partPath())).toBe(false);
    expect(server.ranges).toHaveLength(1);
  });

  it('refuses shorter and longer files', async () => {
    server.behave({ content: content.subarray(1) });
    expect(message(await get())).toBe('set/file.bin: 199999 bytes, the pinned file has 200000');
    const longer = new Uint8Array(SIZE + 1);
    longer.set(content);
    server.behave({ content: longer });
    expect(message(await get())).toContain('the server offers 200001 bytes, at most 200000');
    server.behave({ content: longer, chunked: true });
    expect(message(await get())).toContain('sends more than 200000 bytes');
  });

  it('says what the server refused', async () => {
    server.behave({ content, status: 503 });
    expect(message(await get())).toBe(
      `${server.url}: the server refused: HTTP 503 Service Unavailable`,
    );
  });

  it.each([0, 50_000])(
    'gives up when nothing comes after %d bytes, and resumes later',
    async (n) => {
      server.behave({ content, stallAfter: n });
      expect(message(await get({}, { timeoutMs: 300 }))).toBe(
        `${server.url}: no data for 300 ms, ${n} bytes are kept to resume`,
      );
      server.behave({ content });
      expect(same(ok(await get()))).toBe(true);
      expect(server.ranges[1]).toBe(n === 0 ? '' : `bytes=${n}-`);
    },
  );

  it('tells when the server cannot be reached', async () => {
    const { url } = server;
    await server.close();
    expect(message(await get({ urls: [url] }))).toBe(
      `${url}: offline or unreachable (ECONNREFUSED)`,
    );
    server = await startServer({ content });
  });

  it('tries the next address, and gives all reasons where none works', async () => {
    const dead = 'http://127.0.0.1:1/x';
    expect(same(ok(await get({ urls: [dead, server.url] })))).toBe(true);
    rmSync(finalPath());
    server.behave({ content, status: 404 });
    const reasons = message(await get({ urls: [dead, server.url] })).split('; ');
    expect(reasons).toHaveLength(2);
    expect(reasons[1]).toContain('HTTP 404');
  });

  it('checks the unpacked content of gzip files, and accepts plain ones', async () => {
    server.behave({ content: packed });
    expect(same(ok(await get({ hashOf: 'unpacked' })))).toBe(true);
    expect(Buffer.compare(readFileSync(finalPath()), packed)).toBe(0);
    expect(same(ok(await get({ hashOf: 'unpacked' })))).toBe(true);
    rmSync(finalPath());
    server.behave({ content });
    expect(same(ok(await get({ hashOf: 'unpacked' })))).toBe(true);
  });

  it('does not unpack a bomb', async () => {
    server.behave({ content: new Uint8Array(gzipSync(new Uint8Array(50_000_000))) });
    expect(message(await get({ hashOf: 'unpacked' }))).toBe(
      'set/file.bin: unpacks to more than 200000 bytes',
    );
  });

  it('reports a cache that cannot be written', async () => {
    const file = path.join(cacheDir, 'a-file');
    writeFileSync(file, '');
    expect(message(await get({}, { cacheDir: file }))).toMatch(/cannot be written \(ENOTDIR\)$/);
  });
});

describe('the cache directory', () => {
  it('follows each system', () => {
    expect(defaultCacheDir({}, 'linux', '/home/a')).toBe('/home/a/.cache/flatlora');
    expect(defaultCacheDir({ XDG_CACHE_HOME: '/x' }, 'linux', '/home/a')).toBe('/x/flatlora');
    expect(defaultCacheDir({ XDG_CACHE_HOME: 'rel' }, 'linux', '/h')).toBe('/h/.cache/flatlora');
    expect(defaultCacheDir({}, 'darwin', '/Users/a')).toBe('/Users/a/Library/Caches/flatlora');
    expect(defaultCacheDir({ LOCALAPPDATA: 'C:\\L' }, 'win32', 'C:\\U')).toBe(
      'C:\\L\\flatlora\\cache',
    );
    expect(defaultCacheDir({}, 'win32', 'C:\\U')).toBe('C:\\U\\AppData\\Local\\flatlora\\cache');
  });
});
