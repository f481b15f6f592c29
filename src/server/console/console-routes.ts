import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { App } from "../../app/app.ts";
import type { Clock } from "../../base/clock.ts";
import { noRoute } from "../errors.ts";
import type { GatewayLimits } from "../gateway-limits.ts";
import type { Callers } from "../identity/caller.ts";
import { checkOwnPage, isLoopbackHost } from "../identity/site-check.ts";
import { assetOf, assetPaths, encodingFor } from "./assets.ts";
import { Feed } from "./feed.ts";

/** What the console is made of. */
export interface ConsoleRouteOptions {
  readonly app: App;
  readonly callers: Callers;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
}

/** Nothing but our own files, no frames, no forms, no inline code. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Sent with everything the console serves. */
const protection: Readonly<Record<string, string>> = {
  "content-security-policy": policy,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/**
 * Adds the console: the page under `/`, its files, and `GET /console/events`, the feed it lives from. The
 * page itself is the same for everybody and knows nothing. The feed is open to this machine on loopback,
 * without the values of mismatches; elsewhere, and for those, it takes the operator token.
 */
export function addConsoleRoutes(server: FastifyInstance, options: ConsoleRouteOptions): void {
  const feed = new Feed(options);
  for (const path of assetPaths) {
    server.get(path, (request, reply) => sendAsset(path, request, reply));
  }
  server.get("/console/events", { exposeHeadRoute: false }, async (request, reply) => {
    checkOwnPage(request.raw);
    const unlocked = mayReadValues(request, options);
    feed.admit();
    reply.hijack();
    reply.raw.writeHead(200, {
      ...protection,
      ...request.exchange.headers(),
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    await feed.add(reply.raw, unlocked);
  });
  server.addHook("preClose", (done) => {
    feed.close();
    done();
  });
}

/** Throws `GATEWAY_OPERATOR_TOKEN_REQUIRED` for a wrong token, and off loopback also for none. */
function mayReadValues(request: FastifyRequest, { app, callers }: ConsoleRouteOptions): boolean {
  const { headers } = request;
  if (headers.authorization === undefined && isLoopbackHost(app.config.host)) return false;
  callers.requireOperator(headers, "The console");
  return true;
}

async function sendAsset(
  path: string,
  { headers }: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const asset = await assetOf(path);
  if (asset === null) throw noRoute("GET", path);
  reply.headers({
    ...protection,
    "cache-control": "no-cache",
    etag: asset.etag,
    vary: "accept-encoding",
  });
  const known = (headers["if-none-match"] ?? "").split(",").map((tag) => tag.trim());
  if (known.includes(asset.etag)) return reply.code(304).send();
  const encoding = encodingFor(headers["accept-encoding"]);
  if (encoding !== "identity") reply.header("content-encoding", encoding);
  return reply.type(asset.type).send(asset.encodings[encoding]);
}
