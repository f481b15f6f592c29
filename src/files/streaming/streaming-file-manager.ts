import type { Call } from "../../migration/call.ts";
import { AccessStamps } from "../catalog/access-stamps.ts";
import { SupabaseCatalog } from "../catalog/supabase-catalog.ts";
import { integrity, notFound } from "../errors.ts";
import type {
  DeletedFile,
  Download,
  DownloadRequest,
  FileManager,
  FilePage,
  FileRequest,
  ListRequest,
  StoredFile,
  UploadRequest,
} from "../file-manager.ts";
import type { ProviderFile } from "../providers/provider.ts";
import { deleteFile } from "../saga/delete-saga.ts";
import { missingObject } from "../saga/missing-object.ts";
import { closeParts, type FileManagerParts, providerOf } from "../saga/parts.ts";
import { storeUpload } from "../saga/upload-saga.ts";
import { withEffect } from "../saga/write-effect.ts";
import { resolveRange } from "../storage/byte-range.ts";
import { StreamingStorage, type StreamingStorageOptions } from "../storage/streaming-storage.ts";
import { type SupabaseAccess, SupabaseConnection } from "../storage/supabase-connection.ts";
import { Admission } from "./admission.ts";
import { checkedBody } from "./checked-body.ts";
import { OutgoingBytes } from "./outgoing-bytes.ts";
import { type KnownHash, SourceHashes } from "./source-hashes.ts";

/** Limits of a {@link StreamingFileManager}; all have defaults. */
export interface StreamingFileManagerOptions {
  /** Uploads that run at once; default 8. */
  readonly uploads?: number;
  /** Uploads that may wait for their turn; default 1,000. Beyond it they fail with `FILES_BUSY`. */
  readonly waitingUploadsMax?: number;
  /** SHA-256 hashes remembered by path, size, modification time and inode; default 1,000. */
  readonly hashesMax?: number;
}

/**
 * The path people are moving to: bytes flow from disk to storage and provider in pieces of 256 KiB,
 * over kept connections, several uploads at once; a file is hashed once for as long as it stays the same.
 */
export class StreamingFileManager implements FileManager {
  readonly #parts: FileManagerParts;
  readonly #stamps: AccessStamps;
  readonly #hashing: Admission;
  readonly #sending: Admission;
  readonly #hashes: SourceHashes;
  /** From this size on the store's ETags are no MD5: computing one to compare would be wasted. */
  #noMd5FromBytes = Number.POSITIVE_INFINITY;

  constructor(parts: FileManagerParts, options: StreamingFileManagerOptions = {}) {
    const { uploads = 8, waitingUploadsMax = 1000, hashesMax = 1000 } = options;
    this.#parts = parts;
    this.#stamps = new AccessStamps(parts);
    this.#hashing = new Admission({ running: uploads, waitingMax: waitingUploadsMax });
    this.#sending = new Admission({ running: uploads, waitingMax: waitingUploadsMax });
    this.#hashes = new SourceHashes(hashesMax);
  }

  upload(request: UploadRequest, call: Call): Promise<StoredFile> {
    const { signal } = call;
    return withEffect(async () => {
      // Hashing first costs one more read, and saves the whole transfer of what is stored already.
      const known = await this.#hashing.run(signal, () => this.#hashes.of(request.source, signal));
      return this.#store(request, known, signal);
    });
  }

  async download(request: DownloadRequest, call: Call): Promise<Download> {
    const { signal } = call;
    const found = await this.#parts.catalog.findFile(request, signal);
    if (found === null) throw notFound(request.id);
    const { file, content } = found;
    const range = resolveRange(request.range, file.sizeBytes);
    const stored = await this.#parts.storage.get(content.storageKey, range, signal);
    if (stored === null) throw await missingObject(this.#parts, request, signal);
    if (call.source === "served") this.#stamps.stamp(request);
    const body = checkedBody(stored, {
      what: `The stored bytes of file ${file.id}`,
      sizeBytes: range === null ? file.sizeBytes : range.end - range.start + 1,
      sha256: range === null ? file.sha256 : null,
    });
    return { file, range, body };
  }

  async info(request: FileRequest, call: Call): Promise<StoredFile> {
    const found = await this.#parts.catalog.findFile(request, call.signal);
    if (found === null) throw notFound(request.id);
    return found.file;
  }

  list(request: ListRequest, call: Call): Promise<FilePage> {
    return this.#parts.catalog.list(request, call.signal);
  }

  delete(request: FileRequest, call: Call): Promise<DeletedFile> {
    return deleteFile(this.#parts, request, call.signal);
  }

  async close(): Promise<void> {
    await this.#stamps.settled();
    await closeParts(this.#parts);
  }

  async #store(request: UploadRequest, known: KnownHash, signal: AbortSignal): Promise<StoredFile> {
    const { source } = request;
    const file = await storeUpload(this.#parts, {
      request,
      sha256: known.sha256,
      signal,
      sender: {
        putObject: (key, each) => this.#put(request, known, key, each),
        sendToProvider: this.#providerSender(request),
        concurrent: true,
        admit: (each, sending) => this.#sending.run(each, sending),
        verify: () => source.verifyUnchanged(),
      },
    });
    // A duplicate sends nothing and is done all the same.
    request.progress?.(source.sizeBytes);
    return file;
  }

  async #put(
    request: UploadRequest,
    known: KnownHash,
    key: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { storage } = this.#parts;
    const { source, mimeType } = request;
    const { sizeBytes } = source;
    const outgoing = new OutgoingBytes(source, known, {
      withMd5: sizeBytes < this.#noMd5FromBytes,
      progress: request.progress,
    });
    await storage.put({ key, sizeBytes, mimeType, open: () => outgoing.chunks() }, signal);
    const stored = await storage.head(key, signal);
    if (stored?.sizeBytes !== sizeBytes) {
      const actual = stored === null ? "no object" : `${stored.sizeBytes} bytes`;
      const facts = { expected: `${sizeBytes} bytes`, actual };
      throw integrity("The object was not stored whole", facts);
    }
    const { md5 } = outgoing;
    if (md5 === null) return;
    if (stored.md5 === null) {
      this.#noMd5FromBytes = Math.min(this.#noMd5FromBytes, sizeBytes);
    } else if (stored.md5 !== md5) {
      const facts = { expected: `MD5 ${md5}`, actual: stored.md5 };
      throw integrity("The object was not stored as it was sent", facts);
    }
  }

  #providerSender(request: UploadRequest): ((signal: AbortSignal) => Promise<ProviderFile>) | null {
    const { provider: name, source, mimeType, purpose } = request;
    if (name === "none") return null;
    const provider = providerOf(this.#parts, name);
    return (signal) => provider.upload({ source, name: request.name, mimeType, purpose }, signal);
  }
}

/** What {@link openStreamingFileManager} connects. */
export interface StreamingConnectOptions
  extends Omit<FileManagerParts, "catalog" | "storage">,
    StreamingFileManagerOptions {
  readonly supabase: SupabaseAccess;
  /** Connections for rows; default 16. */
  readonly catalogConnections?: number;
  /** Milliseconds one request for rows may take; default 15,000. */
  readonly catalogTimeoutMs?: number;
  readonly storage?: Omit<StreamingStorageOptions, "clock">;
}

/** A streaming file manager on Supabase, with kept connections and time limits. */
export function openStreamingFileManager(options: StreamingConnectOptions): StreamingFileManager {
  const { supabase, clock, logger, lock, providers } = options;
  const connection = new SupabaseConnection(supabase, {
    clock,
    connections: options.catalogConnections ?? 16,
    timeoutMs: options.catalogTimeoutMs ?? 15_000,
  });
  const parts: FileManagerParts = {
    clock,
    logger,
    lock,
    providers,
    catalog: new SupabaseCatalog(connection),
    storage: new StreamingStorage(supabase, { ...options.storage, clock }),
  };
  return new StreamingFileManager(parts, options);
}
