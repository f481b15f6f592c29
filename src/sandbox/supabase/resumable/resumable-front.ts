import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Server } from "@tus/server";
import type { Clock, Timer } from "../../../base/clock.ts";
import { type Exchange, headersOf } from "../exchange.ts";
import type { LiteApp, SupabaseKeys } from "../lite-app.ts";
import type { StorageFront } from "../storage/storage-front.ts";
import { STORAGE_PREFIX } from "../storage/storage-route.ts";
import { UploadStore } from "./upload-store.ts";
import { describeUpload, newUploadId, UploadRefusal, uploadTarget } from "./upload-target.ts";

/** Where resumable uploads are. */
export const RESUMABLE_PATH: string = `${STORAGE_PREFIX}/upload/resumable`;

/** How often expired uploads are looked for, in milliseconds. */
const SWEEP_EVERY_MS = 60_000;
/** Uploads that may be open at a time. */
const UPLOADS_MAX = 1000;

/** What the door is made of. */
export interface ResumableParts {
  readonly app: LiteApp;
  readonly keys: SupabaseKeys;
  readonly storage: StorageFront;
  readonly clock: Clock;
  /** Where unfinished uploads are kept. */
  readonly folder: string;
  /** The limit for buckets without one of their own. */
  readonly maxObjectBytes: number;
  /** Milliseconds until an unfinished upload is removed. */
  readonly expiryMs: number;
}

/**
 * Resumable uploads in the wire format of the real server (TUS 1.0.0, served by the library that the
 * real one is built on). The object appears when the last byte has arrived, and not before.
 */
export class ResumableFront {
  readonly #parts: ResumableParts;
  readonly #uploads: UploadStore;
  readonly #server: Server;
  readonly #sweeping: Timer;

  private constructor(parts: ResumableParts, uploads: UploadStore) {
    this.#parts = parts;
    this.#uploads = uploads;
    this.#server = new Server({
      path: RESUMABLE_PATH,
      datastore: uploads,
      maxSize: (_request, id) => this.#limitOf(id),
      disableTerminationForFinishedUploads: true,
      namingFunction: (_request, metadata) => newUploadId(metadata),
      onUploadCreate: async (request, upload) => {
        const upsert = request.headers.get("x-upsert") === "true";
        this.#checkNew(upload.id, upload.metadata, upsert);
        upload.storage = { type: upsert ? "upsert" : "create", path: "" };
        return {};
      },
      onUploadFinish: async (_request, upload) => {
        await this.#finish(upload.id, upload.metadata);
        return {};
      },
    });
    this.#sweeping = parts.clock.every(SWEEP_EVERY_MS, () => {
      uploads.deleteExpired().catch((error: unknown) => {
        process.stderr.write(`Expired uploads cannot be removed: ${String(error)}\n`);
      });
    });
  }

  static async open(parts: ResumableParts): Promise<ResumableFront> {
    const { folder, clock, expiryMs } = parts;
    const options = { folder, clock, expiryMs, uploadsMax: UPLOADS_MAX };
    return new ResumableFront(parts, await UploadStore.open(options));
  }

  async serve({ request, response, method, url }: Exchange): Promise<void> {
    const refusal = method === "OPTIONS" ? undefined : refusalOf(request, this.#parts.keys);
    if (refusal !== undefined) return sendText(response, refusal);
    await sendReply(response, await this.#server.handleWeb(webRequestOf({ request, method, url })));
  }

  close(): void {
    this.#sweeping.cancel();
  }

  #limitOf(id: string | null): number {
    const { app, maxObjectBytes } = this.#parts;
    return (
      (id === null ? undefined : app.rows.sizeLimit(uploadTarget(id).bucket)) ?? maxObjectBytes
    );
  }

  /** What can be refused before any byte is sent. */
  #checkNew(
    id: string,
    metadata: Readonly<Record<string, string | null>> | undefined,
    upsert: boolean,
  ): void {
    const { rows } = this.#parts.app;
    const { bucket, key } = uploadTarget(id);
    const types = rows.mimeTypes(bucket);
    if (types === undefined) throw new UploadRefusal(404, "Bucket not found");
    const { contentType } = describeUpload(metadata);
    if (types !== null && !types.includes(contentType)) {
      throw new UploadRefusal(415, `mime type ${contentType} is not supported`);
    }
    if (!upsert && rows.find(bucket, key) !== undefined) {
      throw new UploadRefusal(409, "The resource already exists");
    }
  }

  async #finish(
    id: string,
    metadata: Readonly<Record<string, string | null>> | undefined,
  ): Promise<void> {
    const { app, storage } = this.#parts;
    const { bucket, key } = uploadTarget(id);
    const { path, size, md5, upsert } = await this.#uploads.received(id);
    const stored = await app.blobs.adopt(path, { size, md5 });
    const failure = await storage.storeBlob({
      ...describeUpload(metadata),
      bucket,
      key,
      stored,
      upsert,
    });
    if (failure === undefined) return this.#uploads.finished(id, size);
    await this.#uploads.remove(id);
    throw new UploadRefusal(Number(failure.body.statusCode), failure.body.message);
  }
}

/** Only the secret key may write here; the real server says the same in the same words. */
function refusalOf(request: IncomingMessage, keys: SupabaseKeys): UploadRefusal | undefined {
  const { authorization } = request.headers;
  const given = request.headers["apikey"] ?? authorization?.replace(/^Bearer /i, "");
  if (typeof given !== "string") {
    return new UploadRefusal(400, "headers must have required property 'authorization'");
  }
  const [actual, expected] = [Buffer.from(given), Buffer.from(keys.secretKey)];
  if (actual.length === expected.length && timingSafeEqual(actual, expected)) return undefined;
  return new UploadRefusal(403, "new row violates row-level security policy");
}

function sendText(response: ServerResponse, { status_code, body }: UploadRefusal): void {
  response.writeHead(status_code, { "content-type": "text/plain", "tus-resumable": "1.0.0" });
  response.end(body);
}

/**
 * The request in the form of the protocol's library, whose own conversion copies every chunk: that took
 * more of a core than storing them.
 */
function webRequestOf({ request, method, url }: Omit<Exchange, "response">): Request {
  const { host = url.host } = request.headers;
  const hasBody = method === "PATCH" || method === "POST";
  const init: RequestInit & { duplex?: "half" } = {
    method,
    headers: headersOf(request),
    ...(hasBody ? { body: bytesOf(request), duplex: "half" } : {}),
  };
  return new Request(new URL(`${url.pathname}${url.search}`, `http://${host}`), init);
}

/** What arrives, chunk by chunk. A client that goes away ends it: what it sent is kept. */
function bytesOf(request: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks: AsyncIterator<Buffer> = request.iterator({ destroyOnReturn: false });
  const goneAway = (): IteratorReturnResult<undefined> => ({ done: true, value: undefined });
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const next = await chunks.next().catch(goneAway);
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
    },
    { highWaterMark: 0 },
  );
}

async function sendReply(response: ServerResponse, reply: Response): Promise<void> {
  const text = await reply.text();
  response.writeHead(reply.status, Object.fromEntries(reply.headers)).end(text);
}
