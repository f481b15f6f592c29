import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";
import { drain, sendJson } from "../loopback-server.ts";

/** Milliseconds that a client may go on sending a body whose answer it already has. */
const LINGER_MS = 30_000;
/** Bytes that are read away meanwhile. */
const LINGER_BYTES = 2 ** 30;

/** An answer in JSON. */
export interface JsonAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers a request whose body may still be arriving, and only ends when the body was read away (1 GiB
 * and 30 s at most). Ended at once, a server closes a connection that is not kept alive, and a client
 * in the middle of its body then sees a broken pipe instead of the answer.
 */
export function answerBeforeBody(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body, headers = {} }: JsonAnswer,
  clock: Clock,
): void {
  if (!hasBody(request) || request.complete || request.destroyed) {
    sendJson(response, status, body, headers);
    return;
  }
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": bytes.length,
    ...headers,
  });
  response.write(bytes);
  const timer = clock.after(LINGER_MS, () => request.destroy());
  const end = (): void => {
    timer.cancel();
    response.end();
  };
  request.once("end", end).once("close", end);
  drain(request, LINGER_BYTES);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}
