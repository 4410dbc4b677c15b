/** A local web server that can misbehave in the ways that downloads have to survive. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Behaviour {
  /** What the server has to give. */
  readonly content: Uint8Array;
  /** Whether it honours Range; default true. */
  readonly ranges?: boolean;
  /** Cut the connection after this many bytes of a body. */
  readonly cutAfter?: number;
  /** Send this many bytes of a body, then nothing more; 0 sends not even the head. */
  readonly stallAfter?: number;
  /** Answer this status instead. */
  readonly status?: number;
  /** Claim that a resumed answer starts here. */
  readonly wrongStart?: number;
  /** Whether to leave out Content-Length (chunked answers); default false. */
  readonly chunked?: boolean;
}

export interface TestServer {
  readonly url: string;
  /** The Range header of every request so far, '' where there was none. */
  readonly ranges: readonly string[];
  /** What the server does from now on. */
  readonly behave: (behaviour: Behaviour) => void;
  readonly close: () => Promise<void>;
}

function answer(request: IncomingMessage, response: ServerResponse, how: Behaviour): void {
  const { content, ranges = true, cutAfter, stallAfter, status, wrongStart, chunked } = how;
  if (stallAfter === 0) return;
  if (status !== undefined) {
    response.writeHead(status).end('no');
    return;
  }
  const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const start = ranges && asked ? Number(asked[1]) : 0;
  if (start > 0 && start >= content.length) {
    response.writeHead(416, { 'Content-Range': `bytes */${content.length}` }).end();
    return;
  }
  const body = content.subarray(start);
  const first = wrongStart ?? start;
  const range = `bytes ${first}-${content.length - 1}/${content.length}`;
  response.writeHead(start > 0 ? 206 : 200, {
    ...(start > 0 ? { 'Content-Range': range } : {}),
    ...(chunked ? {} : { 'Content-Length': String(body.length) }),
  });
  const limit = cutAfter ?? stallAfter;
  if (limit === undefined || limit >= body.length) {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, limit), () => {
    // Wait a moment so that the piece arrives before the connection breaks.
    if (cutAfter !== undefined) setTimeout(() => response.destroy(), 30);
  });
}

/** Starts a server on 127.0.0.1 at a free port. */
export async function startServer(initial: Behaviour): Promise<TestServer> {
  let behaviour = initial;
  const ranges: string[] = [];
  const server = createServer((request, response) => {
    ranges.push(request.headers.range ?? '');
    answer(request, response, behaviour);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`,
    ranges,
    behave: (next) => {
      behaviour = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
