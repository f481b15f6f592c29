import { createHash, randomUUID } from "node:crypto";
import { createReadStream, type ReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";

/** Bytes kept under a name of our own making. */
export interface Blob {
  /** A random UUID: nothing a caller sends is ever part of a file's name. */
  readonly id: string;
  readonly size: number;
  /** 32 hexadecimal digits; the storage API shows it, quoted, as the ETag. */
  readonly md5: string;
}

/** A body went over its limit; nothing of it was kept. */
export class BlobTooLarge extends Error {
  override readonly name = "BlobTooLarge";
  readonly limitBytes: number;

  constructor(limitBytes: number) {
    super(`The body is larger than ${limitBytes} bytes.`);
    this.limitBytes = limitBytes;
  }
}

const BLOB_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const READ_CHUNK_BYTES = 256 * 1024;

/**
 * Immutable files on disk. A body is streamed through MD5 into `<file>.part`, synced and renamed, so
 * that a blob is either whole or not there; replacing an object makes a new blob, so that a reader of
 * the old one is never disturbed. Memory use does not depend on the size of the body.
 */
export class BlobStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<BlobStore> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new BlobStore(folder);
  }

  /**
   * Stores `source` to its end. Rejects with `BlobTooLarge` beyond `maxBytes`, or with the source's
   * own error; in both cases nothing is kept. The source is left as it is, for the caller to drain.
   */
  async write(source: Readable, maxBytes: number): Promise<Blob> {
    const id = randomUUID();
    const path = this.#pathOf(id);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(`${path}.part`, "wx", 0o600);
    try {
      const written = await copyInto(file, source, maxBytes);
      await file.sync();
      await file.close();
      await rename(`${path}.part`, path);
      return { id, ...written };
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(`${path}.part`, { force: true });
      throw error;
    }
  }

  /** Makes a blob of a finished file on the same disk, which is moved; `facts` are those of its bytes. */
  async adopt(path: string, facts: Pick<Blob, "size" | "md5">): Promise<Blob> {
    const id = randomUUID();
    await mkdir(dirname(this.#pathOf(id)), { recursive: true, mode: 0o700 });
    const file = await open(path, "r+");
    await file.sync().finally(() => file.close());
    await rename(path, this.#pathOf(id));
    return { id, ...facts };
  }

  /** The bytes from `start` up to and including `end`. */
  read(id: string, start: number, end: number): ReadStream {
    return createReadStream(this.#pathOf(id), { start, end, highWaterMark: READ_CHUNK_BYTES });
  }

  async remove(id: string): Promise<void> {
    await rm(this.#pathOf(id), { force: true });
  }

  /** Removes what a crash left behind: unfinished files, and blobs that `isUsed` does not know. */
  async sweep(isUsed: (id: string) => boolean): Promise<number> {
    let removed = 0;
    for (const entry of await readdir(this.#folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || (BLOB_ID.test(entry.name) && isUsed(entry.name))) continue;
      await rm(join(entry.parentPath, entry.name), { force: true });
      removed += 1;
    }
    return removed;
  }

  #pathOf(id: string): string {
    if (!BLOB_ID.test(id)) throw new TypeError("A blob's id is a lower-case UUID.");
    return join(this.#folder, id.slice(0, 2), id);
  }
}

async function copyInto(
  file: FileHandle,
  source: Readable,
  maxBytes: number,
): Promise<{ size: number; md5: string }> {
  const hash = createHash("md5");
  let size = 0;
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > maxBytes) throw new BlobTooLarge(maxBytes);
    hash.update(bytes);
    await writeAll(file, bytes);
  }
  return { size, md5: hash.digest("hex") };
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    offset += (await file.write(bytes, offset)).bytesWritten;
  }
}
