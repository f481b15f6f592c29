import type { ServerResponse } from "node:http";
import { verify } from "hono/jwt";
import { readSmallBody, sendJson } from "../../loopback-server.ts";
import { type Exchange, headersOf, MAX_JSON_BYTES, requestFor } from "../exchange.ts";
import type { LiteApp, SupabaseKeys } from "../lite-app.ts";
import type { Blob } from "./blob-store.ts";
import { sendObject } from "./object-reply.ts";
import { newScope, type RequestScope, requestScope } from "./request-scope.ts";
import { correctStorageError, type StorageFailure, storageFailure } from "./storage-error.ts";
import { correctStorageReply, signedUrlOf } from "./storage-reply.ts";
import {
  encodePath,
  isObjectKey,
  routeStorage,
  STORAGE_PREFIX,
  type StorageRoute,
} from "./storage-route.ts";
import { openUploadBody } from "./upload-body.ts";

/** Headers that describe a body which the service does not get to see. */
const BODY_HEADERS = ["content-length", "content-type", "cache-control"];
/** Keys in one request for signed URLs. */
const MAX_SIGNED_AT_ONCE = 1000;

/** Bytes that arrived through another door, and what becomes of them. */
export interface StoredBlob {
  readonly bucket: string;
  readonly key: string;
  readonly stored: Blob;
  readonly contentType: string;
  readonly cacheControl: string;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
  readonly upsert: boolean;
}

type Json = Readonly<Record<string, unknown>>;
type ObjectRoute = Extract<StorageRoute, { readonly key: string }>;

/** The storage API: bytes pass beside the embedded service, answers are corrected to the real server's. */
export class StorageFront {
  readonly #app: LiteApp;
  readonly #keys: SupabaseKeys;

  constructor(app: LiteApp, keys: SupabaseKeys) {
    this.#app = app;
    this.#keys = keys;
  }

  async serve(exchange: Exchange): Promise<void> {
    const routed = routeStorage(exchange.method, exchange.url);
    if (routed === undefined) return sendFailure(exchange.response, storageFailure("InvalidKey"));
    const { route } = routed;
    const path = routed.path + exchange.url.search;
    if ("key" in route) {
      const refusal = await this.#refuse(route);
      if (refusal !== undefined) return sendFailure(exchange.response, refusal, exchange.method);
    }
    if (route.kind === "write") return this.#write(exchange, route, path);
    if (route.kind === "read") return this.#read(exchange, path, true);
    if (route.kind === "sign-many") return this.#signMany(exchange, path);
    return this.#passJson(exchange, route, path);
  }

  /** What the service gets wrong before anything else: keys, and tokens of signed URLs. */
  async #refuse(route: ObjectRoute): Promise<StorageFailure | undefined> {
    if (!isObjectKey(route.key)) return storageFailure("InvalidKey", `Invalid key: ${route.key}`);
    if (!("token" in route) || route.token === undefined) return undefined;
    try {
      await verify(route.token, this.#keys.jwtSecret, "HS256");
      return undefined;
    } catch {
      return storageFailure("InvalidJWT");
    }
  }

  async #write(exchange: Exchange, route: ObjectRoute, path: string): Promise<void> {
    const { request, response, method } = exchange;
    const body = await openUploadBody(request);
    if ("httpStatus" in body) return sendFailure(response, body);
    const scope = newScope({}, { source: body.source, userMetadata: body.userMetadata });
    const headers = {
      ...headersOf(request, BODY_HEADERS),
      "content-type": body.contentType,
      "cache-control": body.cacheControl,
      ...(body.announcedBytes === undefined ? {} : { "content-length": `${body.announcedBytes}` }),
    };
    const replaces = method === "PUT" || request.headers["x-upsert"] === "true";
    const reply = await this.#store(scope, { path, method, headers }, replaces).finally(() => {
      if (body.source !== request) request.unpipe();
    });
    await this.#answer(response, route, reply, scope);
  }

  /** Makes an object of bytes that are a blob already; says why when it cannot. */
  async storeBlob(object: StoredBlob): Promise<StorageFailure | undefined> {
    const { bucket, key, stored, upsert } = object;
    const scope = newScope({}, { userMetadata: object.userMetadata });
    scope.stored = stored;
    const headers = {
      apikey: this.#keys.secretKey,
      "content-type": object.contentType,
      "cache-control": object.cacheControl,
      "content-length": String(stored.size),
      "x-upsert": String(upsert),
    };
    const path = STORAGE_PREFIX + encodePath(`/object/${bucket}/${key}`);
    scope.released.add(stored.id);
    const reply = await this.#store(scope, { path, method: "POST", headers }, upsert);
    if (scope.failure !== undefined || reply.ok) return scope.failure;
    const json = (await reply.json().catch(() => ({}))) as Json;
    return correctStorageError("object", reply.status, json);
  }

  #store(
    scope: RequestScope,
    { path, method, headers }: { path: string; method: string; headers: Record<string, string> },
    replaces: boolean,
  ): Promise<Response> {
    const attempt = (): Promise<Response> =>
      this.#ask(scope, new Request(`http://127.0.0.1${path}`, { method, headers }));
    return this.#cleanUpAfter(scope, async () => {
      const first = await attempt();
      // The bytes are stored, the row is not: another upload of this key was faster.
      if (first.status !== 500 || scope.stored === undefined) return first;
      if (replaces) return attempt();
      scope.failure = storageFailure("KeyAlreadyExists");
      return first;
    });
  }

  async #read(exchange: Exchange, path: string, mayRepeat: boolean): Promise<void> {
    const { request, response, url, method } = exchange;
    const scope = newScope({
      range: request.headers.range,
      ifRange: request.headers["if-range"]?.toString(),
      ifNoneMatch: request.headers["if-none-match"],
    });
    const reply = await this.#ask(scope, requestFor({ ...exchange, method: "GET" }, path));
    if (scope.found === undefined || !reply.ok) {
      const json = (await reply.json().catch(() => ({}))) as Json;
      return sendFailure(response, correctStorageError("object", reply.status, json), method);
    }
    await reply.body?.cancel();
    const sent = await sendObject(response, this.#app.blobs, scope.found, {
      headOnly: method === "HEAD",
      downloadName: url.searchParams.get("download"),
    });
    if (sent) return;
    if (mayRepeat) return this.#read(exchange, path, false);
    sendFailure(response, storageFailure("NoSuchKey"), method);
  }

  /** The service takes a list of keys for the empty key: here each key is signed by itself. */
  async #signMany(exchange: Exchange, path: string): Promise<void> {
    const { request, response } = exchange;
    const body = await readSmallBody(request, MAX_JSON_BYTES);
    const { paths, expiresIn } = parseSigning(body);
    if (paths === undefined) return sendFailure(response, storageFailure("InvalidRequest"));
    const headers = { ...headersOf(request, BODY_HEADERS), "content-type": "application/json" };
    const signed: Json[] = [];
    for (const key of paths) {
      const url = `http://127.0.0.1${path}/${key.split("/").map(encodeURIComponent).join("/")}`;
      const init = { method: "POST", headers, body: JSON.stringify({ expiresIn }) };
      const reply = await this.#ask(newScope(), new Request(url, init));
      const json = (await reply.json().catch(() => ({}))) as Json;
      const error = "Either the object does not exist or you do not have access to it";
      signed.push(
        reply.ok
          ? { path: key, error: null, signedURL: signedUrlOf(json) }
          : { path: key, error, signedURL: null },
      );
    }
    sendJson(response, 200, signed);
  }

  async #passJson(exchange: Exchange, route: StorageRoute, path: string): Promise<void> {
    const body = await readSmallBody(exchange.request, MAX_JSON_BYTES);
    if (body === undefined) return sendFailure(exchange.response, storageFailure("EntityTooLarge"));
    const scope = newScope();
    const reply = await this.#cleanUpAfter(scope, () =>
      this.#ask(scope, requestFor(exchange, path, body)),
    );
    await this.#answer(exchange.response, route, reply, scope);
  }

  #ask(scope: RequestScope, request: Request): Promise<Response> {
    return requestScope.run(scope, () => this.#app.fetch(request));
  }

  async #answer(
    response: ServerResponse,
    route: StorageRoute,
    reply: Response,
    scope: RequestScope,
  ): Promise<void> {
    const json: unknown = await reply.json().catch(() => ({}));
    if (scope.failure !== undefined) return sendFailure(response, scope.failure);
    if (reply.ok) return sendJson(response, reply.status, correctStorageReply(route, json));
    const about = route.kind === "bucket" ? "bucket" : "object";
    sendFailure(response, correctStorageError(about, reply.status, json as Json));
  }

  /** Before the answer, so that a client that has it finds nothing left of what it removed. */
  async #cleanUpAfter(scope: RequestScope, work: () => Promise<Response>): Promise<Response> {
    try {
      return await work();
    } finally {
      for (const blob of scope.released) {
        if (!this.#app.rows.isUsed(blob)) await this.#app.blobs.remove(blob);
      }
    }
  }
}

/** Sends a failure; the answer to HEAD has no body. */
export function sendFailure(
  response: ServerResponse,
  failure: StorageFailure,
  method?: string,
): void {
  if (method === "HEAD") response.writeHead(failure.httpStatus).end();
  else sendJson(response, failure.httpStatus, failure.body);
}

function parseSigning(body: Buffer | undefined): { paths?: string[]; expiresIn?: unknown } {
  try {
    const { paths, expiresIn } = JSON.parse(body?.toString("utf8") ?? "") as Json;
    const isList = Array.isArray(paths) && paths.length <= MAX_SIGNED_AT_ONCE;
    return isList ? { paths: paths.map(String), expiresIn } : {};
  } catch {
    return {};
  }
}
