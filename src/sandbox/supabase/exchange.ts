import type { IncomingMessage, ServerResponse } from "node:http";

/** One HTTP request to the backend on its way through. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly method: string;
}

/** Bytes of a body that is not an object: rows, lists of keys, signing requests. */
export const MAX_JSON_BYTES: number = 8 * 1024 * 1024;

/** The request's headers but those of its connection and those named. */
export function headersOf(
  request: IncomingMessage,
  without: readonly string[] = [],
): Record<string, string> {
  const omitted = new Set(["connection", "transfer-encoding", "expect", ...without]);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !omitted.has(name)) headers[name] = String(value);
  }
  return headers;
}

/** The request as the embedded service takes it, with its small body. */
export function requestFor(exchange: Exchange, path: string, body?: Buffer): Request {
  const { request, method } = exchange;
  const hasBody = body !== undefined && body.length > 0 && method !== "GET" && method !== "HEAD";
  return new Request(`http://127.0.0.1${path}`, {
    method,
    headers: headersOf(request),
    ...(hasBody ? { body: new Uint8Array(body) } : {}),
  });
}
