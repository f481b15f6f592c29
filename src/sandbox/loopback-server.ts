import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";

/** A running HTTP server that only this machine can reach. */
export interface LoopbackServer {
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  openConnections(): number;
  /** Stops listening, lets running requests go on for 300 ms, then cuts them. */
  close(): Promise<void>;
}

/** Milliseconds without a byte after which a connection is cut. */
const IDLE_LIMIT_MS = 120_000;
/** Milliseconds that running requests get when the server closes. */
const CLOSE_GRACE_MS = 300;
/** Connections at a time; the next one is refused. */
const MAX_CONNECTIONS = 2048;

/**
 * Listens on 127.0.0.1 at `port` (0: any free one). Requests that name another host are refused with
 * 421, so that no web page can reach the server through a name that resolves to this machine.
 * Rejects with `SANDBOX_PORT_UNAVAILABLE` when the port cannot be had.
 */
export async function listenOnLoopback(
  port: number,
  listener: RequestListener,
): Promise<LoopbackServer> {
  let open = 0;
  const server = createServer(
    { keepAliveTimeout: 30_000, requestTimeout: 0 },
    (request, response) => {
      if (isLocalHost(request.headers.host)) listener(request, response);
      else sendJson(response, 421, { message: "This server answers on 127.0.0.1 only." });
    },
  );
  server.setTimeout(IDLE_LIMIT_MS);
  server.maxConnections = MAX_CONNECTIONS;
  server.on("connection", (socket) => {
    open += 1;
    socket.once("close", () => {
      open -= 1;
    });
  });
  await listen(server, port);
  const actualPort = (server.address() as AddressInfo).port;
  return {
    port: actualPort,
    origin: `http://127.0.0.1:${actualPort}`,
    openConnections: () => open,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        systemClock.after(CLOSE_GRACE_MS, () => server.closeAllConnections());
      }),
  };
}

/** Answers with a JSON body and its length. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": bytes.length,
    ...headers,
  });
  response.end(bytes);
}

/**
 * Reads away what is left of a body that nobody wants any more, so that the connection can carry the
 * next request. A sender that goes on for more than `maxBytes` (default 1 GiB) is cut off.
 */
export function drain(request: IncomingMessage, maxBytes: number = 2 ** 30): void {
  if (request.complete || request.destroyed) return;
  let drained = 0;
  request.on("error", () => undefined);
  request.on("data", (chunk: Buffer) => {
    drained += chunk.length;
    if (drained > maxBytes) request.destroy();
  });
  request.resume();
}

/** A small body as a whole; undefined (and the rest drained) when it is larger than `maxBytes`. */
export async function readSmallBody(
  request: IncomingMessage,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function isLocalHost(host: string | undefined): boolean {
  return host !== undefined && /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host);
}

function listen(server: ReturnType<typeof createServer>, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new CodedError(
          "SANDBOX_PORT_UNAVAILABLE",
          `Port ${port} on 127.0.0.1 cannot be used (${codeOf(cause) ?? cause.message}). Choose another, or 0 for any free one.`,
          { cause },
        ),
      ),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
}
