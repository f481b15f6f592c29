import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import type { GatewayLimits } from "../gateway-limits.ts";

/** Is there a body, or a part of one, that nobody has read? */
export function hasUnreadBody(request: IncomingMessage): boolean {
  const { "content-length": length = "0", "transfer-encoding": coding } = request.headers;
  return !request.complete && (coding !== undefined || Number(length) > 0);
}

/**
 * An answer that is sent at once but ends only when the rest of the request's body has been read and
 * thrown away, or the limit of that is reached. A connection closed with unread bytes is reset, and a
 * reset can destroy the answer before a client that is still sending gets to read it.
 */
export function lingeringAnswer(
  answer: Buffer,
  request: IncomingMessage,
  limits: Pick<GatewayLimits, "lingerMs" | "lingerBytes">,
  clock: Clock,
): Readable {
  async function* chunks(): AsyncGenerator<Buffer, void, void> {
    yield answer;
    await discardRest(request, limits, clock);
  }
  return Readable.from(chunks(), { objectMode: false });
}

function discardRest(
  request: IncomingMessage,
  { lingerMs, lingerBytes }: Pick<GatewayLimits, "lingerMs" | "lingerBytes">,
  clock: Clock,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (request.complete || request.destroyed) return Promise.resolve();
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > lingerBytes) resolve();
  });
  for (const end of ["end", "error", "close"]) request.once(end, () => resolve());
  const timer = clock.after(lingerMs, resolve);
  request.resume();
  return promise.finally(() => timer.cancel());
}
