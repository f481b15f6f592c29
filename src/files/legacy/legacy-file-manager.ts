import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import type { Call } from "../../migration/call.ts";
import { AccessStamps } from "../catalog/access-stamps.ts";
import { SupabaseCatalog } from "../catalog/supabase-catalog.ts";
import { integrity, notFound, sourceChanged, tooLarge } from "../errors.ts";
import type {
  DeletedFile,
  Download,
  DownloadRequest,
  FileManager,
  FilePage,
  FileRequest,
  FileSource,
  ListRequest,
  StoredFile,
  UploadRequest,
} from "../file-manager.ts";
import type { ProviderFile } from "../providers/provider.ts";
import { deleteFile } from "../saga/delete-saga.ts";
import { missingObject } from "../saga/missing-object.ts";
import { partsOf } from "../saga/operation-log.ts";
import { closeParts, type FileManagerParts, providerOf } from "../saga/parts.ts";
import { storeUpload } from "../saga/upload-saga.ts";
import { withEffect } from "../saga/write-effect.ts";
import { bytesSource } from "../source.ts";
import { BufferedStorage } from "../storage/buffered-storage.ts";
import { resolveRange } from "../storage/byte-range.ts";
import { type SupabaseAccess, SupabaseConnection } from "../storage/supabase-connection.ts";

/** Where reading a file into memory ends: Node refuses files of 2 GiB (`ERR_FS_FILE_TOO_LARGE`). */
const LEGACY_MAX_BYTES = 2 ** 31 - 1;

/**
 * The path people are moving away from, kept as it was: the whole file in memory, one request after
 * another, a new connection for each. It works, up to 2 GiB, and costs several times the file's size in
 * memory. Frozen: nothing is improved here.
 */
export class LegacyFileManager implements FileManager {
  readonly #parts: FileManagerParts;
  readonly #stamps: AccessStamps;

  constructor(parts: FileManagerParts) {
    this.#parts = parts;
    this.#stamps = new AccessStamps(parts);
  }

  upload(request: UploadRequest, call: Call): Promise<StoredFile> {
    return withEffect(() => this.#upload(partsOf(this.#parts, call), request, call.signal));
  }

  async download(request: DownloadRequest, call: Call): Promise<Download> {
    const { signal } = call;
    const found = await this.#parts.catalog.findFile(request, signal);
    if (found === null) throw notFound(request.id);
    const { file, content } = found;
    const range = resolveRange(request.range, file.sizeBytes);
    const stored = await this.#parts.storage.get(content.storageKey, null, signal);
    if (stored === null) throw await missingObject(this.#parts, request, signal);
    const bytes = await collect(stored);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (sha256 !== file.sha256) {
      const facts = { expected: file.sha256, actual: sha256 };
      throw integrity(`The stored bytes of file ${file.id} have another SHA-256`, facts);
    }
    if (call.source === "served") this.#stamps.stamp(request);
    const asked = range === null ? bytes : bytes.subarray(range.start, range.end + 1);
    const body = Readable.from(asked.length === 0 ? [] : [asked], { objectMode: false });
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
    await closeParts(this.#parts);
  }

  async #upload(
    parts: FileManagerParts,
    request: UploadRequest,
    signal: AbortSignal,
  ): Promise<StoredFile> {
    const bytes = await readWhole(request, signal);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const { storage } = parts;
    const file = await storeUpload(parts, {
      request,
      sha256,
      signal,
      sender: {
        putObject: (key, each) =>
          storage.put(
            { key, sizeBytes: bytes.length, mimeType: request.mimeType, open: () => bytes },
            each,
          ),
        sendToProvider: this.#providerSender(request, bytes),
        concurrent: false,
        admit: (_signal, sending) => sending(),
        verify: async () => undefined,
      },
    });
    request.progress?.(bytes.length);
    return file;
  }

  #providerSender(
    request: UploadRequest,
    bytes: Buffer,
  ): ((signal: AbortSignal) => Promise<ProviderFile>) | null {
    const { provider: name, mimeType, purpose } = request;
    if (name === "none") return null;
    const provider = providerOf(this.#parts, name);
    const source = bytesSource(bytes);
    return (signal) => provider.upload({ source, name: request.name, mimeType, purpose }, signal);
  }
}

async function readWhole(request: UploadRequest, signal: AbortSignal): Promise<Buffer> {
  const { source, name } = request;
  if (source.sizeBytes > LEGACY_MAX_BYTES) {
    throw tooLarge({
      what: `The file ${JSON.stringify(name.slice(0, 120))}`,
      whose: "the legacy path, which reads files into memory",
      limitBytes: LEGACY_MAX_BYTES,
      sizeBytes: source.sizeBytes,
    });
  }
  const bytes = await readSource(source, signal);
  if (bytes.length !== source.sizeBytes) throw sourceChanged("The file");
  await source.verifyUnchanged();
  return bytes;
}

async function readSource(source: FileSource, signal: AbortSignal): Promise<Buffer> {
  if (source.path === null) return collect(source.open());
  try {
    return await readFile(source.path, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw sourceChanged(`The file ${source.path}`, error);
  }
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What {@link openLegacyFileManager} connects. */
export interface LegacyFileManagerOptions extends Omit<FileManagerParts, "catalog" | "storage"> {
  readonly supabase: SupabaseAccess;
}

/** A legacy file manager on Supabase, with a new connection for every request and no time limits. */
export function openLegacyFileManager(options: LegacyFileManagerOptions): LegacyFileManager {
  const { supabase, ...parts } = options;
  const connection = new SupabaseConnection(supabase, {
    clock: options.clock,
    connections: "single-use",
    timeoutMs: null,
  });
  return new LegacyFileManager({
    ...parts,
    catalog: new SupabaseCatalog(connection),
    storage: new BufferedStorage(connection, supabase.bucket),
  });
}
