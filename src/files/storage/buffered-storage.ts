import { Readable } from "node:stream";
import { integrity } from "../errors.ts";
import type { ByteRange } from "../file-manager.ts";
import {
  answerFailure,
  type BackendAnswer,
  connectionFailure,
  saysMissing,
  trueStatus,
} from "./backend-failure.ts";
import {
  md5OfEtag,
  type NewObject,
  type ObjectFacts,
  type ObjectStorage,
} from "./object-storage.ts";
import type { ClientReply, SupabaseConnection } from "./supabase-connection.ts";

/** What the storage client answers; it does not throw. */
interface StorageReply<T> {
  readonly data: T | null;
  readonly error: unknown;
}

/**
 * Objects through the Supabase client as everybody uses it: an upload is one Buffer, which the client
 * and `fetch` copy (about four times the file in memory), a download is one Blob.
 */
export class BufferedStorage implements ObjectStorage {
  readonly #connection: SupabaseConnection;
  readonly #bucket: string;

  constructor(connection: SupabaseConnection, bucket: string) {
    this.#connection = connection;
    this.#bucket = bucket;
  }

  async put(object: NewObject, signal: AbortSignal): Promise<void> {
    const { key, sizeBytes, mimeType } = object;
    const during = "storing the object";
    const body = object.open();
    const bytes = Buffer.isBuffer(body) ? body : await collect(body);
    if (bytes.length !== sizeBytes) {
      const facts = { expected: `${sizeBytes} bytes`, actual: `${bytes.length} bytes` };
      throw integrity("The object to store has another size than announced", facts);
    }
    // The client takes no signal for an upload: one that has begun is waited for.
    signal.throwIfAborted();
    const reply = await this.#ask(during, new AbortController().signal, (bucket) =>
      bucket.upload(key, bytes, { contentType: mimeType, upsert: true }),
    );
    if (reply.error !== null) throw answerFailure(during, answerOf(reply.error));
    signal.throwIfAborted();
  }

  async get(key: string, range: ByteRange | null, signal: AbortSignal): Promise<Readable | null> {
    const during = "reading the object";
    const reply = await this.#ask(during, signal, (bucket) => bucket.download(key));
    if (reply.error !== null) {
      if (saysMissing(answerOf(reply.error))) return null;
      throw answerFailure(during, answerOf(reply.error));
    }
    const whole = Buffer.from((await reply.data?.arrayBuffer()) ?? new ArrayBuffer(0));
    const bytes = range === null ? whole : whole.subarray(range.start, range.end + 1);
    return Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false });
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectFacts | null> {
    const during = "checking the object";
    const reply = await this.#ask(during, signal, (bucket) => bucket.info(key));
    if (reply.error !== null) {
      if (saysMissing(answerOf(reply.error))) return null;
      throw answerFailure(during, answerOf(reply.error));
    }
    return { sizeBytes: reply.data?.size ?? -1, md5: md5OfEtag(reply.data?.etag) };
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    const during = "removing the object";
    const reply = await this.#ask(during, signal, (bucket) => bucket.remove([key]));
    if (reply.error !== null) throw answerFailure(during, answerOf(reply.error));
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #ask<T>(
    during: string,
    signal: AbortSignal,
    request: (bucket: Bucket) => PromiseLike<StorageReply<T>>,
  ): Promise<StorageReply<T>> {
    let reply: ClientReply<StorageReply<T>>;
    try {
      reply = await this.#connection.run(signal, (client) =>
        request(client.storage.from(this.#bucket)),
      );
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(during, error);
    }
    if (reply.reply.error !== null) signal.throwIfAborted();
    if (reply.networkError !== undefined) throw connectionFailure(during, reply.networkError);
    // An error without a status never was an answer: the body broke off, or was not what it should be.
    const { error } = reply.reply;
    if (error !== null && trueStatus(answerOf(error)) === 0) throw connectionFailure(during, error);
    return reply.reply;
  }
}

type Bucket = ReturnType<
  Parameters<Parameters<SupabaseConnection["run"]>[1]>[0]["storage"]["from"]
>;

function answerOf(error: unknown): BackendAnswer {
  const { status, statusCode, code } = error as {
    readonly status?: number;
    readonly statusCode?: string;
    readonly code?: string;
  };
  return { status: status ?? 0, statusCode, code };
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // A chunk may be a buffer that its sender fills again.
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
