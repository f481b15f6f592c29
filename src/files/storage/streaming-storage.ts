import type { Readable } from "node:stream";
import { type Dispatcher, Pool } from "undici";
import type { Clock } from "../../base/clock.ts";
import { backendUnavailable } from "../errors.ts";
import type { ByteRange } from "../file-manager.ts";
import { answerFailure, connectionFailure, saysMissing } from "./backend-failure.ts";
import { answerOf, expectSuccess, readText } from "./http-answer.ts";
import { encodeKey } from "./object-key.ts";
import { type ListPage, readListPage } from "./object-list.ts";
import {
  type ListedObject,
  md5OfEtag,
  type NewObject,
  type ObjectFacts,
  type ObjectListing,
  type ObjectStorage,
} from "./object-storage.ts";
import { type PutLimits, PutWatch } from "./put-watch.ts";
import { sliceOf } from "./slice.ts";
import { SpareSockets } from "./sockets/spare-sockets.ts";
import type { SupabaseAccess } from "./supabase-connection.ts";
import { withTimeLimit } from "./time-limit.ts";

/** Limits of a {@link StreamingStorage}; all have defaults. */
export interface StreamingStorageOptions {
  readonly clock: Clock;
  /** Kept connections for uploads, checks and removals; default 16. */
  readonly writeConnections?: number;
  /** Kept connections for downloads, which last as long as their readers; default 64. */
  readonly readConnections?: number;
  /** Milliseconds to connect; default 5,000. */
  readonly connectMs?: number;
  /** Milliseconds until an answer begins, after the last byte was sent; default 120,000. */
  readonly answerMs?: number;
  /** Milliseconds without a byte in either direction; default 30,000. */
  readonly idleMs?: number;
  /** Milliseconds that an upload given up after its last byte may still take to be answered; default 10,000. */
  readonly settleMs?: number;
}

/** How much of a pool of connections is in use. */
export interface PoolUse {
  readonly pool: "storage-writes" | "storage-reads";
  /** Connections that are open. */
  readonly connected: number;
  /** Requests that are being answered, and requests that wait for a connection. */
  readonly running: number;
  readonly queued: number;
  /** Connections at most. */
  readonly limit: number;
}

interface Limits extends PutLimits {
  readonly answerMs: number;
}

/** Objects of one page of a list, and bytes of such a page at most. */
const LIST_PAGE = 1000;
const LIST_MAX_BYTES = 8 * 2 ** 20;

/**
 * Objects over the object API directly, chunk by chunk and with back-pressure both ways. The length is
 * always announced, so that the bucket's size limit holds and a broken upload stores nothing; errors are
 * judged by their body, because the API says 400 for nearly everything.
 */
export class StreamingStorage implements ObjectStorage, ObjectListing {
  readonly #clock: Clock;
  readonly #limits: Limits;
  readonly #spares: SpareSockets;
  readonly #writes: Pool;
  readonly #reads: Pool;
  readonly #connections: { readonly writes: number; readonly reads: number };
  readonly #objects: string;
  readonly #bucket: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(access: SupabaseAccess, options: StreamingStorageOptions) {
    const base = new URL(access.url);
    this.#clock = options.clock;
    const { answerMs = 120_000, idleMs = 30_000, settleMs = 10_000, connectMs = 5000 } = options;
    this.#limits = { answerMs, idleMs, settleMs };
    const pool = (connections: number, connect: NonNullable<Pool.Options["connect"]>): Pool =>
      new Pool(base.origin, {
        connections,
        pipelining: 1,
        // Re-used read buffers rely on how HTTP/1.1 sockets are written to.
        allowH2: false,
        // Shorter than what servers and proxies usually keep, so that a request seldom meets a closing one.
        keepAliveTimeout: 4000,
        connect,
        headersTimeout: answerMs,
        bodyTimeout: idleMs,
      });
    const { writeConnections: writes = 16, readConnections: reads = 64 } = options;
    this.#connections = { writes, reads };
    this.#spares = new SpareSockets(base, {
      clock: options.clock,
      max: writes,
      connectMs,
      allowH2: false,
    });
    this.#writes = pool(writes, this.#spares.connector);
    this.#reads = pool(reads, { timeout: connectMs });
    this.#objects = `${base.pathname.replace(/\/+$/, "")}/storage/v1/object`;
    this.#bucket = encodeURIComponent(access.bucket);
    this.#headers = { apikey: access.secretKey, authorization: `Bearer ${access.secretKey}` };
  }

  /** How much of both pools is in use right now. */
  get use(): readonly PoolUse[] {
    const { writes, reads } = this.#connections;
    return [
      useOf("storage-writes", this.#writes, writes),
      useOf("storage-reads", this.#reads, reads),
    ];
  }

  prepare(count: number): void {
    this.#spares.want(count);
  }

  async put(object: NewObject, signal: AbortSignal): Promise<void> {
    const during = "storing the object";
    const watch = new PutWatch(this.#clock, this.#limits, signal);
    let bodyError: unknown;
    try {
      const response = await this.#writes.request({
        method: "POST",
        path: this.#pathOf(object.key),
        headers: {
          ...this.#headers,
          "content-type": object.mimeType,
          "content-length": String(object.sizeBytes),
          "cache-control": "max-age=3600",
          "x-upsert": "true",
        },
        body: sendable(object, watch, (error) => {
          bodyError = error;
        }),
        signal: watch.signal,
      });
      await expectSuccess(during, response);
      signal.throwIfAborted();
    } catch (error) {
      signal.throwIfAborted();
      throw bodyError ?? connectionFailure(during, error);
    } finally {
      watch.stop();
    }
  }

  async get(key: string, range: ByteRange | null, signal: AbortSignal): Promise<Readable | null> {
    const during = "reading the object";
    const asked = range === null ? {} : { range: `bytes=${range.start}-${range.end}` };
    try {
      const response = await this.#dispatch(this.#reads, signal, {
        method: "GET",
        path: this.#pathOf(key),
        headers: { ...this.#headers, ...asked },
      });
      if (response.statusCode === 206) return response.body;
      if (response.statusCode === 200) return sliceOf(response.body, range);
      const answer = await answerOf(response);
      if (saysMissing(answer)) return null;
      throw answerFailure(during, answer);
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(during, error);
    }
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectFacts | null> {
    const during = "checking the object";
    try {
      const response = await this.#dispatch(this.#writes, signal, {
        method: "GET",
        path: this.#pathOf(key, "/info"),
        headers: this.#headers,
      });
      if (response.statusCode === 200) return factsOf(await readText(response.body));
      const answer = await answerOf(response);
      if (saysMissing(answer)) return null;
      throw answerFailure(during, answer);
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(during, error);
    }
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    const during = "removing the object";
    try {
      const response = await this.#dispatch(this.#writes, signal, {
        method: "DELETE",
        path: `${this.#objects}/${this.#bucket}`,
        headers: { ...this.#headers, "content-type": "application/json" },
        body: JSON.stringify({ prefixes: [key] }),
        // undici would close the connection after a DELETE with a body.
        reset: false,
      });
      await expectSuccess(during, response);
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(during, error);
    }
  }

  async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ListedObject, void, void> {
    const folders = [prefix];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (let offset = 0; ; ) {
        const page = await this.#listPage(folder, offset, signal);
        folders.push(...page.folders);
        yield* page.objects;
        offset += page.entries;
        if (page.entries < LIST_PAGE) break;
      }
    }
  }

  async close(): Promise<void> {
    this.#spares.close();
    await Promise.all([this.#writes.destroy(), this.#reads.destroy()]);
  }

  async #listPage(prefix: string, offset: number, signal: AbortSignal): Promise<ListPage> {
    const during = "listing objects";
    const sortBy = { column: "name", order: "asc" };
    try {
      const response = await this.#dispatch(this.#writes, signal, {
        method: "POST",
        path: `${this.#objects}/list/${this.#bucket}`,
        headers: { ...this.#headers, "content-type": "application/json" },
        body: JSON.stringify({ prefix, limit: LIST_PAGE, offset, sortBy }),
      });
      if (response.statusCode !== 200) throw answerFailure(during, await answerOf(response));
      const page = readListPage(prefix, await readText(response.body, LIST_MAX_BYTES));
      if (page !== undefined) return page;
      throw backendUnavailable({ during, reason: "the answer is no list of objects" });
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(during, error);
    }
  }

  /** One request without a streamed body; waiting for a free connection counts into its time. */
  #dispatch(
    pool: Pool,
    signal: AbortSignal,
    request: Dispatcher.RequestOptions,
  ): Promise<Dispatcher.ResponseData> {
    const limit = { clock: this.#clock, limitMs: this.#limits.answerMs, signal };
    return withTimeLimit(limit, (each) => pool.request({ ...request, signal: each }));
  }

  #pathOf(key: string, door = ""): string {
    return `${this.#objects}${door}/${this.#bucket}/${encodeKey(key)}`;
  }
}

function useOf(name: PoolUse["pool"], { stats }: Pool, limit: number): PoolUse {
  const { connected, running, queued } = stats;
  return { pool: name, connected, running, queued, limit };
}

/** The body in a form that undici sends chunk by chunk, each only when the one before was written. */
function sendable(
  object: NewObject,
  watch: PutWatch,
  onError: (error: unknown) => void,
): Buffer | Readable | null {
  const body = object.sizeBytes === 0 ? null : object.open();
  if (body === null || Buffer.isBuffer(body)) {
    watch.lastBytes();
    watch.sent();
    return body;
  }
  // undici takes any async iterable; only its types do not say so.
  return watched(body, object.sizeBytes, { watch, onError }) as unknown as Readable;
}

async function* watched(
  chunks: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  { watch, onError }: { readonly watch: PutWatch; readonly onError: (error: unknown) => void },
): AsyncGenerator<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]();
  try {
    for (let bytes = 0; bytes < sizeBytes; ) {
      const { done, value } = await source.next();
      // undici sees that the announced length was not reached, and fails the request.
      if (done === true) return;
      watch.moved();
      bytes += value.length;
      if (bytes >= sizeBytes) watch.lastBytes();
      yield value;
      watch.moved();
    }
    watch.sent();
  } catch (error) {
    onError(error);
    throw error;
  } finally {
    // Not awaited: an answer that is faster than the end of the request would cost the connection.
    void source.return?.().catch(() => undefined);
  }
}

function factsOf(text: string): ObjectFacts {
  const { size, etag } = JSON.parse(text) as { readonly size?: unknown; readonly etag?: string };
  return { sizeBytes: typeof size === "number" ? size : -1, md5: md5OfEtag(etag) };
}
