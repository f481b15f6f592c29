import type { Clock } from "../../base/clock.ts";
import type { Call } from "../../migration/call.ts";
import { AccessStamps } from "../catalog/access-stamps.ts";
import type { Catalog } from "../catalog/catalog.ts";
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
import { BackendRetries, type BackendRetriesOptions } from "../retry/backend-retries.ts";
import { retryingCatalog } from "../retry/retrying-catalog.ts";
import { retryingStorage } from "../retry/retrying-storage.ts";
import { deleteFile } from "../saga/delete-saga.ts";
import { missingObject } from "../saga/missing-object.ts";
import { partsOf } from "../saga/operation-log.ts";
import { closeParts, type FileManagerParts, providerOf } from "../saga/parts.ts";
import { storeUpload } from "../saga/upload-saga.ts";
import { withEffect } from "../saga/write-effect.ts";
import { resolveRange } from "../storage/byte-range.ts";
import type { ObjectFacts } from "../storage/object-storage.ts";
import type { PartialUpload } from "../storage/resumable/partial-uploads.ts";
import { type ResumableOptions, ResumableUploads } from "../storage/resumable/resumable-uploads.ts";
import {
  type PoolUse,
  StreamingStorage,
  type StreamingStorageOptions,
} from "../storage/streaming-storage.ts";
import { type SupabaseAccess, SupabaseConnection } from "../storage/supabase-connection.ts";
import { Admission, type AdmissionUse } from "./admission.ts";
import { checkedBody } from "./checked-body.ts";
import { Hasher, type HasherUse } from "./hasher.ts";
import { OutgoingBytes } from "./outgoing-bytes.ts";
import { type HashCounts, type KnownHash, SourceHashes } from "./source-hashes.ts";

/** Limits of a {@link StreamingFileManager}; all have defaults. */
export interface StreamingFileManagerOptions {
  /** Uploads that run at once; default 8. */
  readonly uploads?: number;
  /** Uploads that may wait for their turn; default 1,000. Beyond it they fail with `FILES_BUSY`. */
  readonly waitingUploadsMax?: number;
  /** SHA-256 hashes remembered by path, size, modification time and inode; default 1,000. */
  readonly hashesMax?: number;
  /** Threads that hash local files beside this one; default all cores but two, at most 4. */
  readonly hashWorkers?: number;
  /** Sends large files in parts that survive a lost connection; default null: all in one piece. */
  readonly resumable?: ResumableUploads | null;
  /** Tells how much of the connections is in use; default: nothing is known. */
  readonly pools?: () => readonly PoolUse[];
  /** Tells how often requests to the backend were repeated; default: never. */
  readonly retriesMade?: () => number;
}

/** What goes on in a streaming file manager. */
export interface StreamingUse {
  /** Uploads that are hashed, and those that are sent. */
  readonly hashing: AdmissionUse;
  readonly sending: AdmissionUse;
  readonly hashes: HashCounts;
  readonly hasher: HasherUse;
  readonly pools: readonly PoolUse[];
  readonly retriesMade: number;
}

/**
 * Files whose hashing takes a noticeable part of a core, and not for long: a few at a time, so that the
 * first ones are on their way while the others are hashed, instead of all being hashed to the end at the
 * same moment. Smaller ones mostly wait for the disk, and nobody should wait behind larger ones.
 */
const HASHED_IN_TURN = { fromBytes: 2 ** 20, toBytes: 2 ** 24, running: 3 } as const;

/**
 * The path people are moving to: bytes flow from disk to storage and provider in pieces of 256 KiB,
 * over kept connections, several uploads at once; a file is hashed once for as long as it stays the same.
 */
export class StreamingFileManager implements FileManager {
  readonly #parts: FileManagerParts;
  readonly #stamps: AccessStamps;
  readonly #resumable: ResumableUploads | null;
  readonly #hashing: Admission;
  readonly #hashingInTurn: Admission;
  readonly #sending: Admission;
  readonly #hasher: Hasher;
  readonly #hashes: SourceHashes;
  readonly #uploads: number;
  readonly #watched: Pick<StreamingFileManagerOptions, "pools" | "retriesMade">;
  /** From this size on the store's ETags are no MD5: computing one to compare would be wasted. */
  #noMd5FromBytes = Number.POSITIVE_INFINITY;

  constructor(parts: FileManagerParts, options: StreamingFileManagerOptions = {}) {
    const { uploads = 8, waitingUploadsMax = 1000, hashesMax = 1000, resumable = null } = options;
    this.#parts = parts;
    this.#uploads = uploads;
    this.#watched = options;
    this.#resumable = resumable;
    this.#stamps = new AccessStamps(parts);
    this.#hashing = new Admission({ running: uploads, waitingMax: waitingUploadsMax });
    const inTurn = Math.min(uploads, HASHED_IN_TURN.running);
    this.#hashingInTurn = new Admission({ running: inTurn, waitingMax: waitingUploadsMax });
    this.#sending = new Admission({ running: uploads, waitingMax: waitingUploadsMax });
    const { clock, logger } = parts;
    this.#hasher = new Hasher({ clock, logger, workers: options.hashWorkers });
    this.#hashes = new SourceHashes(hashesMax, this.#hasher);
  }

  /** What goes on right now, and what was counted since the start. */
  get use(): StreamingUse {
    return {
      hashing: sumOf(this.#hashing.use, this.#hashingInTurn.use),
      sending: this.#sending.use,
      hashes: this.#hashes.counts,
      hasher: this.#hasher.use,
      pools: this.#watched.pools?.() ?? [],
      retriesMade: this.#watched.retriesMade?.() ?? 0,
    };
  }

  upload(request: UploadRequest, call: Call): Promise<StoredFile> {
    const { signal } = call;
    const parts = partsOf(this.#parts, call);
    return withEffect(async () => {
      this.#connectAhead();
      // Hashing first costs one more read, and saves the whole transfer of what is stored already.
      const known = await this.#hashingOf(request.source.sizeBytes).run(signal, () =>
        this.#hashes.of(request.source, signal),
      );
      return this.#store(parts, request, known, signal);
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
    return deleteFile(partsOf(this.#parts, call), request, call.signal);
  }

  async close(): Promise<void> {
    await this.#stamps.settled();
    await this.#resumable?.close();
    await this.#hasher.close();
    await closeParts(this.#parts);
  }

  #hashingOf(sizeBytes: number): Admission {
    const { fromBytes, toBytes } = HASHED_IN_TURN;
    return sizeBytes >= fromBytes && sizeBytes <= toBytes ? this.#hashingInTurn : this.#hashing;
  }

  /** Setting up a connection takes the time of two answers, in which a file can be hashed. */
  #connectAhead(): void {
    const { catalog, storage } = this.#parts;
    const { hashing, sending } = this.use;
    const begun = hashing.running + hashing.waiting + sending.running + 1;
    const count = Math.min(begun, this.#uploads);
    storage.prepare?.(count);
    // An upload writes both of its rows at once.
    catalog.prepare?.(2 * count);
  }

  async #store(
    parts: FileManagerParts,
    request: UploadRequest,
    known: KnownHash,
    signal: AbortSignal,
  ): Promise<StoredFile> {
    const { source, provider, purpose } = request;
    const { sizeBytes } = source;
    const { sha256 } = known;
    const partial = await this.#resumable?.claim({ sha256, provider, purpose, sizeBytes });
    try {
      const file = await storeUpload(parts, {
        request,
        sha256,
        signal,
        contentId: partial?.contentId,
        sender: {
          putObject: (key, each) => this.#put({ parts, request, known, partial }, key, each),
          sendToProvider: this.#providerSender(request),
          concurrent: true,
          admit: (each, sending) => this.#sending.run(each, sending),
          verify: () => source.verifyUnchanged(),
        },
      });
      // A duplicate sends nothing and is done all the same.
      request.progress?.(sizeBytes);
      return file;
    } finally {
      await partial?.release();
    }
  }

  async #put(
    { parts, request, known, partial }: OutgoingUpload,
    key: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { storage, logger } = parts;
    const { source, mimeType } = request;
    const { sizeBytes } = source;
    const outgoing = new OutgoingBytes(source, known, {
      withMd5: sizeBytes < this.#noMd5FromBytes,
      progress: request.progress,
    });
    const object = { key, sizeBytes, mimeType, open: (start = 0) => outgoing.chunks(start) };
    const keep = request.keepPartial === true;
    // What was sent of it is for the key of its own content, not for one whose object was lost.
    const own = partial != null && key.endsWith(partial.contentId) ? partial : null;
    const isStored =
      own !== null && (await this.#resumable?.put({ ...object, keep, logger }, own, signal));
    if (isStored !== true) await storage.put({ ...object, open: () => object.open() }, signal);
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

function sumOf(a: AdmissionUse, b: AdmissionUse): AdmissionUse {
  return { running: a.running + b.running, waiting: a.waiting + b.waiting };
}

/** One upload on its way to storage. */
interface OutgoingUpload {
  readonly parts: FileManagerParts;
  readonly request: UploadRequest;
  readonly known: KnownHash;
  /** Null or missing where it goes in one piece. */
  readonly partial: PartialUpload | null | undefined;
}

/** What {@link openStreamingFileManager} connects. */
export interface StreamingConnectOptions
  extends Omit<FileManagerParts, "catalog" | "storage">,
    Omit<StreamingFileManagerOptions, "resumable" | "pools" | "retriesMade"> {
  readonly supabase: SupabaseAccess;
  /** The rows; default: opened here. Closed with the manager. */
  readonly catalog?: Catalog;
  /** How passing failures of rows and objects are repeated. */
  readonly retry?: Omit<BackendRetriesOptions, "clock" | "logger">;
  readonly storage?: Omit<StreamingStorageOptions, "clock">;
  /** How large files are sent in parts; null sends all in one piece. */
  readonly resumable?: Omit<ResumableOptions, "clock" | "logger" | "head"> | null;
}

/** How {@link openCatalog} uses the network. */
export interface CatalogOptions {
  readonly clock: Clock;
  /** Kept connections; default 16. */
  readonly connections?: number;
  /** Milliseconds one request may take; default 15,000. */
  readonly timeoutMs?: number;
}

/** The rows in Supabase, over kept connections. One call is one request; nothing is repeated. */
export function openCatalog(
  supabase: SupabaseAccess,
  { clock, connections = 16, timeoutMs = 15_000 }: CatalogOptions,
): Catalog {
  return new SupabaseCatalog(new SupabaseConnection(supabase, { clock, connections, timeoutMs }));
}

/** A streaming file manager on Supabase, with kept connections and time limits. */
export function openStreamingFileManager(options: StreamingConnectOptions): StreamingFileManager {
  const { supabase, clock, logger, lock, providers } = options;
  const retries = new BackendRetries({ ...options.retry, clock, logger });
  const { uploads = 8 } = options;
  // Both rows of an upload are written at once.
  const catalog = options.catalog ?? openCatalog(supabase, { clock, connections: 2 * uploads });
  const writeConnections = Math.max(16, uploads);
  const storage = new StreamingStorage(supabase, { writeConnections, ...options.storage, clock });
  const parts: FileManagerParts = {
    clock,
    logger,
    lock,
    providers,
    ...(options.counts === undefined ? {} : { counts: options.counts }),
    catalog: retryingCatalog(catalog, retries),
    storage: retryingStorage(storage, retries),
  };
  const head = (key: string, signal: AbortSignal): Promise<ObjectFacts | null> =>
    parts.storage.head(key, signal);
  const resumable =
    options.resumable === null
      ? null
      : new ResumableUploads(supabase, { ...options.resumable, clock, logger, head });
  const watched = { pools: () => storage.use, retriesMade: () => retries.made };
  return new StreamingFileManager(parts, { ...options, ...watched, resumable });
}
