import { type Dispatcher, Pool } from "undici";
import type { Clock } from "../../../base/clock.ts";
import type { CodedError } from "../../../base/errors.ts";
import { backendUnavailable } from "../../errors.ts";
import { answerFailure, connectionFailure } from "../backend-failure.ts";
import { readText } from "../http-answer.ts";
import { type PutLimits, PutWatch } from "../put-watch.ts";
import type { SupabaseAccess } from "../supabase-connection.ts";
import { withTimeLimit } from "../time-limit.ts";

/** How a {@link TusDoor} uses the network; times in milliseconds. */
export interface TusDoorOptions {
  readonly clock: Clock;
  readonly connections: number;
  readonly connectMs: number;
  /** Until an answer begins, after the last byte was sent. */
  readonly answerMs: number;
  readonly limits: PutLimits;
}

/** A new upload on the server. */
export interface CreatedUpload {
  /** The last segment of its address: proxies make a mess of what stands before it. */
  readonly location: string;
  /** Milliseconds since 1970 at which the server gives it up; null when it does not say. */
  readonly expiresAtMs: number | null;
}

/** One stretch of an upload. */
export interface UploadPart {
  readonly location: string;
  /** Where it begins. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** Does the object appear with its last byte? */
  readonly isLast: boolean;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** The protocol's version, sent with every request: https://tus.io/protocols/resumable-upload */
const VERSION = { "tus-resumable": "1.0.0" };
const SEGMENT = /^[\w.~%=+-]{1,2048}$/;
/** What a server without this door says: no such route, or no such method. */
const NO_SUCH_DOOR = new Set([404, 405, 501]);
/** The upload is not where we think it is: asking for its offset tells more. */
const ASK_AGAIN = new Set([404, 409, 410, 423, 460]);

/**
 * Supabase's resumable uploads on the wire: TUS 1.0.0 at `/storage/v1/upload/resumable`. Its errors have
 * true statuses and plain text, other than those of the object API.
 */
export class TusDoor {
  readonly #options: TusDoorOptions;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #base: URL;
  readonly #bucket: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(access: SupabaseAccess, options: TusDoorOptions) {
    const base = new URL(access.url);
    this.#options = options;
    this.#base = base;
    this.#pool = new Pool(base.origin, {
      connections: options.connections,
      pipelining: 1,
      // As in `StreamingStorage`: buffers that are used again rely on HTTP/1.1.
      allowH2: false,
      keepAliveTimeout: 4000,
      connect: { timeout: options.connectMs },
      headersTimeout: options.answerMs,
      bodyTimeout: options.limits.idleMs,
    });
    this.#path = `${base.pathname.replace(/\/+$/, "")}/storage/v1/upload/resumable`;
    this.#bucket = access.bucket;
    const { secretKey } = access;
    this.#headers = { ...VERSION, apikey: secretKey, authorization: `Bearer ${secretKey}` };
  }

  /** Begins an upload; null when the server has no such door at all. */
  async create(
    object: { readonly key: string; readonly sizeBytes: number; readonly mimeType: string },
    signal: AbortSignal,
  ): Promise<CreatedUpload | null> {
    const during = "beginning a resumable upload";
    const metadata = {
      bucketName: this.#bucket,
      objectName: object.key,
      contentType: object.mimeType,
      cacheControl: "3600",
    };
    const pairs = Object.entries(metadata).map(
      ([name, value]) => `${name} ${Buffer.from(value).toString("base64")}`,
    );
    const response = await this.#ask(during, signal, {
      method: "POST",
      path: this.#path,
      headers: {
        ...this.#headers,
        "upload-length": String(object.sizeBytes),
        "upload-metadata": pairs.join(","),
        "x-upsert": "true",
      },
    });
    const { statusCode, headers } = response;
    if (statusCode !== 201) {
      const failure = await failureOf(during, response);
      const isAbsent = NO_SUCH_DOOR.has(statusCode) && headers["tus-resumable"] === undefined;
      if (isAbsent) return null;
      throw failure;
    }
    await response.body.dump();
    const location = this.#segmentOf(String(headers["location"] ?? ""));
    if (location === null) {
      const reason = "the answer names no address for the upload";
      throw backendUnavailable({ during, reason, effect: "absent" });
    }
    const expiresAtMs = Date.parse(String(headers["upload-expires"] ?? ""));
    return { location, expiresAtMs: Number.isNaN(expiresAtMs) ? null : expiresAtMs };
  }

  /** How many bytes the server has; null when it does not know the upload any more. */
  async offset(location: string, signal: AbortSignal): Promise<number | null> {
    const during = "looking how far a resumable upload is";
    const path = this.#pathOf(location);
    const response = await this.#ask(during, signal, {
      method: "HEAD",
      path,
      headers: this.#headers,
    });
    const { statusCode, headers } = response;
    if (statusCode === 404 || statusCode === 410) {
      await response.body.dump();
      return null;
    }
    if (statusCode < 200 || statusCode >= 300) throw await failureOf(during, response);
    await response.body.dump();
    return offsetIn(during, headers);
  }

  /** Sends a part and answers the offset after it. */
  async append(part: UploadPart, signal: AbortSignal): Promise<number> {
    const during = "storing the object in parts";
    const { clock, limits } = this.#options;
    const watch = new PutWatch(clock, limits, signal);
    let bodyError: unknown;
    const body = watched(part, watch, (error) => {
      bodyError = error;
    });
    try {
      const response = await this.#pool.request({
        method: "PATCH",
        path: this.#pathOf(part.location),
        headers: {
          ...this.#headers,
          "upload-offset": String(part.offset),
          "content-type": "application/offset+octet-stream",
          "content-length": String(part.sizeBytes),
        },
        // undici takes any async iterable; only its types do not say so.
        body: body as unknown as Dispatcher.RequestOptions["body"] & object,
        signal: watch.signal,
      });
      if (response.statusCode !== 204 && response.statusCode !== 200) {
        throw await failureOf(during, response, true);
      }
      await response.body.dump();
      return offsetIn(during, response.headers);
    } catch (error) {
      signal.throwIfAborted();
      throw bodyError ?? connectionFailure(during, error);
    } finally {
      watch.stop();
    }
  }

  /** Gives an upload up. Succeeds when it is gone, also when it was not there, or is an object already. */
  async terminate(location: string, signal: AbortSignal): Promise<void> {
    const during = "giving up a resumable upload";
    const path = this.#pathOf(location);
    const response = await this.#ask(during, signal, {
      method: "DELETE",
      path,
      headers: this.#headers,
    });
    if (response.statusCode >= 500 || response.statusCode === 423) {
      throw await failureOf(during, response);
    }
    await response.body.dump();
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #ask(
    during: string,
    signal: AbortSignal,
    request: Dispatcher.RequestOptions,
  ): Promise<Dispatcher.ResponseData> {
    const { clock, answerMs } = this.#options;
    try {
      return await withTimeLimit({ clock, limitMs: answerMs, signal }, (each) =>
        this.#pool.request({ ...request, signal: each }),
      );
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(during, error);
    }
  }

  #pathOf(location: string): string {
    return `${this.#path}/${location}`;
  }

  #segmentOf(location: string): string | null {
    const segment = URL.parse(location, this.#base.href)?.pathname.split("/").at(-1) ?? "";
    return location !== "" && SEGMENT.test(segment) ? segment : null;
  }
}

async function* watched(
  { chunks, isLast, sizeBytes }: UploadPart,
  watch: PutWatch,
  onError: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  try {
    let bytes = 0;
    for await (const chunk of chunks) {
      watch.moved();
      bytes += chunk.length;
      if (isLast && bytes >= sizeBytes) watch.lastBytes();
      yield chunk;
      watch.moved();
    }
    watch.sent();
  } catch (error) {
    onError(error);
    throw error;
  }
}

/** The failure that a plain-text answer is; `asksAgain` when the offset may tell what to do. */
async function failureOf(
  during: string,
  response: Dispatcher.ResponseData,
  asksAgain = false,
): Promise<CodedError> {
  const { statusCode: status, headers } = response;
  const text = await readText(response.body).catch(() => "");
  const said = text.replace(/[^\x20-\x7e]+/g, " ").trim();
  // A page of a proxy's is no reason that anybody wants to read.
  const code = said === "" || said.startsWith("<") ? undefined : said.slice(0, 80);
  const lostItsLock = status === 400 && /abort|lock/i.test(said);
  if (asksAgain && (ASK_AGAIN.has(status) || lostItsLock)) {
    return backendUnavailable({ during, reason: `status ${status} (${code ?? "no reason"})` });
  }
  const retryAfter = headers["retry-after"];
  return answerFailure(during, {
    status,
    code,
    ...(retryAfter === undefined ? {} : { retryAfter: String(retryAfter) }),
  });
}

function offsetIn(during: string, headers: Dispatcher.ResponseData["headers"]): number {
  const text = String(headers["upload-offset"] ?? "");
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw backendUnavailable({ during, reason: "the answer names no offset" });
}
