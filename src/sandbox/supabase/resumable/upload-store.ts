import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { DataStore, Upload } from "@tus/server";
import type { Clock } from "../../../base/clock.ts";
import { UploadRefusal, uploadTarget } from "./upload-target.ts";

/** Settings of an {@link UploadStore}. */
export interface UploadStoreOptions {
  readonly folder: string;
  readonly clock: Clock;
  /** Milliseconds after its creation at which an upload is given up. */
  readonly expiryMs: number;
  /** Uploads that may be open at a time. */
  readonly uploadsMax: number;
}

/** What is kept of an upload beside its bytes. */
interface UploadRecord {
  readonly id: string;
  readonly size: number | null;
  readonly metadata: Readonly<Record<string, string | null>>;
  readonly upsert: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  /** Its bytes became an object. The record stays, so that a client whose last answer was lost learns it. */
  readonly isFinished: boolean;
}

/** An upload whose last byte has arrived. */
export interface ReceivedUpload {
  readonly path: string;
  readonly size: number;
  readonly md5: string;
  readonly upsert: boolean;
}

interface RunningHash {
  readonly hash: Hash;
  bytes: number;
}

const RECORD = /^([0-9a-f-]{36})\.json$/;

/**
 * Unfinished uploads on disk: `<version>.json` with the facts and `<version>.bytes` with what has
 * arrived, whose length is the offset. Both survive a restart; nothing here is visible as an object.
 */
export class UploadStore extends DataStore {
  override extensions: string[] = [
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "expiration",
  ];
  readonly #options: UploadStoreOptions;
  /** MD5 so far of uploads that this process has seen from their first byte on. */
  readonly #hashes = new Map<string, RunningHash>();
  #open = 0;

  private constructor(options: UploadStoreOptions) {
    super();
    this.#options = options;
  }

  /** Opens the folder, without what has expired and what a crash left half finished. */
  static async open(options: UploadStoreOptions): Promise<UploadStore> {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const store = new UploadStore(options);
    await store.#sweep();
    return store;
  }

  override getExpiration(): number {
    return this.#options.expiryMs;
  }

  override async create(upload: Upload): Promise<Upload> {
    const { uploadsMax, clock } = this.#options;
    if (this.#open >= uploadsMax) throw new UploadRefusal(429, "Too many open uploads");
    const createdAt = new Date(clock.now()).toISOString();
    await writeFile(this.#bytesOf(upload.id), "", { flag: "wx", mode: 0o600 });
    this.#open += 1;
    await this.#write({
      id: upload.id,
      size: upload.size ?? null,
      metadata: upload.metadata ?? {},
      upsert: upload.storage?.type === "upsert",
      createdAt,
      isFinished: false,
    });
    this.#hashes.set(upload.id, { hash: createHash("md5"), bytes: 0 });
    upload.creation_date = createdAt;
    return upload;
  }

  /** Appends; what arrived before the stream broke off is kept. Answers the new offset. */
  override async write(stream: Readable, id: string, offset: number): Promise<number> {
    const file = await open(this.#bytesOf(id), "r+");
    const running = this.#hashAt(id, offset);
    let position = offset;
    try {
      for await (const chunk of stream) {
        const bytes = chunk as Buffer;
        for (let done = 0; done < bytes.length; ) {
          done += (await file.write(bytes, done, bytes.length - done, position + done))
            .bytesWritten;
        }
        position += bytes.length;
        if (running === undefined) continue;
        running.hash.update(bytes);
        running.bytes = position;
      }
      return position;
    } finally {
      await file.close();
    }
  }

  override async getUpload(id: string): Promise<Upload> {
    const record = await this.#read(id);
    const { size, metadata, createdAt, isFinished } = record;
    const offset = isFinished ? (size ?? 0) : (await stat(this.#bytesOf(id))).size;
    return new Upload({
      id,
      offset,
      metadata: { ...metadata },
      creation_date: createdAt,
      ...(size === null ? {} : { size }),
    });
  }

  override async declareUploadLength(id: string, size: number): Promise<void> {
    await this.#write({ ...(await this.#read(id)), size });
  }

  override async remove(id: string): Promise<void> {
    await this.#read(id);
    await this.#forget(id);
  }

  /** Removes what is older than its time and answers how many that were. */
  override async deleteExpired(): Promise<number> {
    let removed = 0;
    for (const record of await this.#records()) {
      if (!this.#isExpired(record)) continue;
      await this.#forget(record.id);
      removed += 1;
    }
    return removed;
  }

  /** The whole of an upload, for whoever makes an object of it. */
  async received(id: string): Promise<ReceivedUpload> {
    const { upsert } = await this.#read(id);
    const path = this.#bytesOf(id);
    const { size } = await stat(path);
    const running = this.#hashAt(id, size);
    const hash = running?.hash.copy() ?? (await md5Of(path));
    return { path, size, md5: hash.digest("hex"), upsert };
  }

  /** The bytes are an object now. */
  async finished(id: string, size: number): Promise<void> {
    await this.#write({ ...(await this.#read(id)), size, isFinished: true });
    this.#hashes.delete(id);
    this.#open -= 1;
  }

  /** A hash that has seen exactly the first `bytes`; one that has not is of no use any more. */
  #hashAt(id: string, bytes: number): RunningHash | undefined {
    const running = this.#hashes.get(id);
    if (running?.bytes === bytes) return running;
    this.#hashes.delete(id);
    return undefined;
  }

  async #sweep(): Promise<void> {
    const kept = new Set<string>();
    for (const record of await this.#records()) {
      const { version } = uploadTarget(record.id);
      const { size } = await stat(this.#bytesOf(record.id)).catch(() => ({ size: -1 }));
      // Whole but no object: the process died in between, and its client will find no object.
      const isStranded = !record.isFinished && (size < 0 || size === record.size);
      if (this.#isExpired(record) || isStranded) continue;
      kept.add(version);
      if (!record.isFinished) this.#open += 1;
    }
    for (const name of await readdir(this.#options.folder)) {
      if (!kept.has(name.slice(0, 36))) await rm(join(this.#options.folder, name));
    }
  }

  async #records(): Promise<UploadRecord[]> {
    const records: UploadRecord[] = [];
    for (const name of await readdir(this.#options.folder)) {
      if (!RECORD.test(name)) continue;
      const text = await readFile(join(this.#options.folder, name), "utf8").catch(() => null);
      if (text !== null) records.push(JSON.parse(text) as UploadRecord);
    }
    return records;
  }

  #isExpired({ createdAt }: UploadRecord): boolean {
    const { clock, expiryMs } = this.#options;
    return clock.now() > Date.parse(createdAt) + expiryMs;
  }

  async #forget(id: string): Promise<void> {
    this.#hashes.delete(id);
    const { isFinished } = await this.#read(id);
    if (!isFinished) this.#open -= 1;
    await rm(this.#recordOf(id), { force: true });
    await rm(this.#bytesOf(id), { force: true });
  }

  async #read(id: string): Promise<UploadRecord> {
    const text = await readFile(this.#recordOf(id), "utf8").catch(() => null);
    const record = text === null ? null : (JSON.parse(text) as UploadRecord);
    if (record?.id === id) return record;
    throw new UploadRefusal(404, "The file for this url was not found");
  }

  /** Replaced as a whole, so that a crash leaves the old record or the new one. */
  async #write(record: UploadRecord): Promise<void> {
    const path = this.#recordOf(record.id);
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  #recordOf(id: string): string {
    return join(this.#options.folder, `${uploadTarget(id).version}.json`);
  }

  #bytesOf(id: string): string {
    return join(this.#options.folder, `${uploadTarget(id).version}.bytes`);
  }
}

async function md5Of(path: string): Promise<Hash> {
  const hash = createHash("md5");
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
    hash.update(chunk as Buffer);
  }
  return hash;
}
