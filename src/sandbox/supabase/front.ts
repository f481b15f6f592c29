import type { RequestListener } from "node:http";
import { drain, sendJson } from "../loopback-server.ts";
import type { Exchange } from "./exchange.ts";
import type { LiteApp, SupabaseKeys } from "./lite-app.ts";
import { REST_PREFIX, serveRest } from "./rest-front.ts";
import { RESUMABLE_PATH, type ResumableFront } from "./resumable/resumable-front.ts";
import { storageFailure } from "./storage/storage-error.ts";
import { type StorageFront, sendFailure } from "./storage/storage-front.ts";
import { STORAGE_PREFIX } from "./storage/storage-route.ts";

const BANNER =
  "changeover sandbox: @supabase/lite on SQLite, in the wire format of Supabase. Not for production.";

/** The two doors to objects. */
export interface FrontDoors {
  readonly storage: StorageFront;
  readonly resumable: ResumableFront;
}

/**
 * Puts the embedded service on the wire in the form of the real one: bytes of objects pass beside it,
 * and its answers are corrected where they differ. Only the tables and the storage are reachable.
 */
export function createFront(
  app: LiteApp,
  keys: SupabaseKeys,
  { storage, resumable }: FrontDoors,
): RequestListener {
  const serve = async (exchange: Exchange): Promise<void> => {
    const { pathname } = exchange.url;
    if (pathname.startsWith(REST_PREFIX)) return serveRest(exchange, app, keys);
    if (pathname === RESUMABLE_PATH || pathname.startsWith(`${RESUMABLE_PATH}/`)) {
      return resumable.serve(exchange);
    }
    if (pathname.startsWith(`${STORAGE_PREFIX}/`)) return storage.serve(exchange);
    if (pathname === "/") return sendJson(exchange.response, 200, { message: BANNER });
    sendJson(exchange.response, 404, { message: "no Route matched with those values" });
  };
  return (request, response) => {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    serve({ request, response, url, method: request.method ?? "GET" })
      .catch((error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
        if (response.headersSent) response.destroy();
        else sendFailure(response, storageFailure("InternalError"));
      })
      .finally(() => drain(request));
  };
}
