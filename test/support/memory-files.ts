import { createHash, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { notFound, rangeNotSatisfiable } from "../../src/files/errors.ts";
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
} from "../../src/files/file-manager.ts";
import type { Call } from "../../src/migration/call.ts";

/** A file with its bytes. */
export interface Kept {
  readonly file: StoredFile;
  readonly bytes: Buffer;
}

/** What files live in; two managers may share one, as the two paths share a backend. */
export class MemoryStore {
  readonly files: Map<string, Kept> = new Map();
  uploads = 0;
}

const epochMs = Date.parse("2026-01-01T00:00:00.000Z");

/** A file manager that keeps everything in memory and does what every file manager must. */
export class MemoryFileManager implements FileManager {
  readonly #store: MemoryStore;
  /** The calls of lists. */
  readonly listed: Call[] = [];
  /** Awaited before an upload is kept, so that a test can hold one. */
  beforeUpload: (request: UploadRequest, call: Call) => Promise<void> = () => Promise.resolve();
  /** Makes the body of a download out of its bytes. */
  bodyOf: (bytes: Buffer) => Readable = (bytes) =>
    Readable.from(slices(bytes), { objectMode: false });

  constructor(store: MemoryStore) {
    this.#store = store;
  }

  async upload(request: UploadRequest, call: Call): Promise<StoredFile> {
    await this.beforeUpload(request, call);
    const chunks: Buffer[] = [];
    for await (const chunk of request.source.open()) chunks.push(chunk as Buffer);
    call.signal.throwIfAborted();
    const bytes = Buffer.concat(chunks);
    const { owner, name, purpose, provider, mimeType, metadata } = request;
    this.#store.uploads += 1;
    const createdAt = new Date(epochMs + this.#store.uploads * 1000).toISOString();
    const file: StoredFile = {
      id: randomUUID(),
      owner,
      name,
      purpose,
      provider,
      mimeType,
      metadata,
      sizeBytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      providerFileId: null,
      createdAt,
      accessedAt: createdAt,
    };
    this.#store.files.set(file.id, { file, bytes });
    return file;
  }

  async download({ owner, id, range }: DownloadRequest): Promise<Download> {
    const { file, bytes } = this.#find({ owner, id });
    if (range === undefined) return { file, range: null, body: this.bodyOf(bytes) };
    const { start } = range;
    if (start >= bytes.length) throw rangeNotSatisfiable(start, bytes.length);
    const end = Math.min(range.end ?? bytes.length - 1, bytes.length - 1);
    return { file, range: { start, end }, body: this.bodyOf(bytes.subarray(start, end + 1)) };
  }

  async info(request: FileRequest): Promise<StoredFile> {
    return this.#find(request).file;
  }

  async list(request: ListRequest, call: Call): Promise<FilePage> {
    const { owner, limit, after, order = "desc", purpose } = request;
    this.listed.push(call);
    const own = [...this.#store.files.values()].map(({ file }) => file);
    const matching = own.filter(
      (file) => file.owner === owner && (purpose === undefined || file.purpose === purpose),
    );
    if (order === "desc") matching.reverse();
    const start = after === undefined ? 0 : matching.findIndex(({ id }) => id === after) + 1;
    if (after !== undefined && start === 0) throw notFound(after);
    const files = matching.slice(start, start + limit);
    return { files, hasMore: matching.length > start + limit };
  }

  async delete(request: FileRequest): Promise<DeletedFile> {
    const { file } = this.#find(request);
    this.#store.files.delete(file.id);
    return { id: file.id, deleted: true };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #find({ owner, id }: FileRequest): Kept {
    const kept = this.#store.files.get(id);
    if (kept === undefined || kept.file.owner !== owner) throw notFound(id);
    return kept;
  }
}

function* slices(bytes: Buffer): Generator<Buffer, void, void> {
  for (let start = 0; start < bytes.length; start += 65_536) {
    yield bytes.subarray(start, start + 65_536);
  }
}
