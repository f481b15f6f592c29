import { readSmallBody, sendJson } from "../loopback-server.ts";
import { type Exchange, MAX_JSON_BYTES, requestFor } from "./exchange.ts";
import type { LiteApp, SupabaseKeys } from "./lite-app.ts";
import { correctRestReply } from "./rest-reply.ts";

/** Where the tables are. */
export const REST_PREFIX = "/rest/v1/";

/** Headers that describe the bytes of a reply that is written anew. */
const REWRITTEN = ["content-length", "content-encoding", "transfer-encoding"];

/** Answers a request for rows: the embedded service's reply, corrected where PostgREST's differs. */
export async function serveRest(
  exchange: Exchange,
  app: LiteApp,
  keys: SupabaseKeys,
): Promise<void> {
  const { request, response, url } = exchange;
  const body = await readSmallBody(request, MAX_JSON_BYTES);
  if (body === undefined) {
    const message = `The body is larger than ${MAX_JSON_BYTES} bytes`;
    return sendJson(response, 413, { code: "413", details: null, hint: null, message });
  }
  const reply = await app.fetch(requestFor(exchange, url.pathname + url.search, body));
  const bytes = Buffer.from(await reply.arrayBuffer());
  const corrected = correctRestReply(reply.status, bytes.toString("utf8"), {
    wantsObject: request.headers.accept?.includes("vnd.pgrst.object") ?? false,
    isAnonymous: request.headers["apikey"] !== keys.secretKey,
  });
  const headers = Object.fromEntries(reply.headers);
  for (const name of REWRITTEN) delete headers[name];
  if (corrected !== undefined) return sendJson(response, corrected.status, corrected.body, headers);
  response.writeHead(reply.status, headers).end(bytes);
}
