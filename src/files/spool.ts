import { createHash, type Hash, randomUUID } from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import { type CodedError, codeOf } from "../base/errors.ts";
import { digestMismatch, incompleteBody, sourceChanged, spoolFailed, tooLarge } from "./errors.ts";
import type { FileSource } from "./file-manager.ts";
import { DiskSource, type FileState } from "./source.ts";
import { type Body, bodyChunks } from "./spool/body-chunks.ts";
import {
  makeProcessFolder,
  type ProcessFolder,
  sweepProcessFolders,
} from "./spool/process-folder.ts";
import { Room, type Share } from "./spool/room.ts";

/**
 * A body that was staged to disk. Whoever staged it releases it, always; whoever needs it for longer
 * retains it before that.
 */
export interface StagedFile extends FileSource {
  readonly path: string;
  readonly sha256: string;
  readonly identity: string;
  /**
   * Gives the file up: it is removed and its room given back once nobody retains it any more. The second
   * time it does nothing. Never rejects.
   */
  release(): Promise<void>;
  /** Keeps the file until the returned function is called, once. Throws when it is gone already. */
  retain(): () => void;
}

/** Settings of a {@link Spool}. */
export interface SpoolOptions {
  /** A folder on a local disk, made when missing; processes may share it. */
  readonly dir: string;
  /** Bytes that may be staged at a time by this process, bodies still on their way included. */
  readonly limitBytes: number;
  /** Files that may be staged at a time by this process. Default 1024. */
  readonly filesMax?: number;
  /** Milliseconds without a byte after which a body counts as broken off. Default 60 000. */
  readonly idleMs?: number;
  readonly clock?: Clock;
}

/** What is known of a body before it is read. */
export interface StageOptions {
  /** Bytes at most; reading stops with the first chunk that goes past them. */
  readonly maxBytes: number;
  /** What the sender announced as `Content-Length`; room is taken for it at once. */
  readonly expectedBytes?: number | undefined;
  /** The SHA-256 its sender declared, in hex. */
  readonly expectedSha256?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Stages one-shot bodies to disk, hashed and counted on their way, so that they can be read as often
 * as needed. A body is read no faster than the disk takes it. Files get random names, mode 0600, in a
 * folder of this process's own.
 */
export class Spool {
  readonly #options: Required<SpoolOptions>;
  readonly #room: Room;
  #folder: ProcessFolder | undefined;
  #closed = false;

  constructor(options: SpoolOptions) {
    this.#options = { filesMax: 1024, idleMs: 60_000, clock: systemClock, ...options };
    this.#room = new Room(this.#options);
  }

  /** Bytes taken by staged files and by bodies still on their way. */
  get usedBytes(): number {
    return this.#room.usedBytes;
  }

  /** Files staged or on their way. */
  get files(): number {
    return this.#room.files;
  }

  /**
   * Removes what processes that are gone left in the folder and returns how many they were. To be
   * called once at the start. Throws `FILES_SPOOL_FAILED` when the folder cannot be used.
   */
  sweep(): Promise<number> {
    return this.#onDisk(() => Promise.resolve(sweepProcessFolders(this.#options.dir)));
  }

  /**
   * Reads a body to its end and keeps it on disk. The body is not destroyed when it is refused: a
   * server may still want to answer on its connection. Throws `FILES_TOO_LARGE`, `FILES_SPOOL_FULL`,
   * `FILES_SPOOL_FAILED`, `FILES_INCOMPLETE_BODY` (broken off, stalled, or not of the announced
   * length), `FILES_DIGEST_MISMATCH`, or the signal's reason; nothing is left on disk then. A coded
   * error that the body itself throws is passed on.
   */
  async stage(body: Body, options: StageOptions): Promise<StagedFile> {
    options.signal?.throwIfAborted();
    const { maxBytes, expectedBytes = 0 } = options;
    if (expectedBytes > maxBytes) throw bodyTooLarge(maxBytes, expectedBytes, false);
    const share = this.#room.take(expectedBytes);
    try {
      return await this.#toDisk(body, share, options);
    } catch (error) {
      share.giveBack();
      throw error;
    }
  }

  /** Removes this process's folder with everything staged in it; nothing can be staged after. */
  close(): Promise<void> {
    this.#closed = true;
    const folder = this.#folder;
    this.#folder = undefined;
    return this.#onDisk(() => Promise.resolve(folder?.close()));
  }

  async #toDisk(body: Body, share: Share, options: StageOptions): Promise<StagedFile> {
    const path = await this.#onDisk(async () => join(this.#ownFolder().path, randomUUID()));
    const file = await this.#onDisk(() => open(path, "wx", 0o600));
    try {
      const sha256 = await this.#receive(body, file, share, options);
      const state = await file.stat({ bigint: true });
      await this.#onDisk(() => file.close());
      return new StagedDiskFile(path, state, sha256, share);
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  /** Writes the body to `file` and returns its SHA-256. */
  async #receive(
    body: Body,
    file: FileHandle,
    share: Share,
    options: StageOptions,
  ): Promise<string> {
    const { maxBytes, expectedBytes, expectedSha256, signal } = options;
    const hash = createHash("sha256");
    let receivedBytes = 0;
    const broken = (cause?: unknown): CodedError =>
      incompleteBody({ receivedBytes, expectedBytes }, cause);
    const { clock, idleMs } = this.#options;
    for await (const chunk of bodyChunks(body, { clock, idleMs, signal, broken })) {
      receivedBytes += chunk.length;
      if (receivedBytes > maxBytes) throw bodyTooLarge(maxBytes, receivedBytes, true);
      if (expectedBytes !== undefined && receivedBytes > expectedBytes) throw broken();
      share.growTo(receivedBytes);
      await this.#write(file, chunk, hash);
    }
    if (expectedBytes !== undefined && receivedBytes < expectedBytes) throw broken();
    const sha256 = hash.digest("hex");
    const declared = expectedSha256?.toLowerCase() ?? sha256;
    if (declared !== sha256) throw digestMismatch(declared, sha256);
    return sha256;
  }

  async #write(file: FileHandle, chunk: Uint8Array, hash: Hash): Promise<void> {
    const written = this.#onDisk(() => writeAll(file, chunk));
    // While the thread pool writes, this thread hashes.
    hash.update(chunk);
    await written;
  }

  #ownFolder(): ProcessFolder {
    if (this.#closed) throw new Error("The spool is closed.");
    this.#folder ??= makeProcessFolder(this.#options.dir);
    return this.#folder;
  }

  async #onDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      const full = ["ENOSPC", "EDQUOT", "EFBIG"].includes(codeOf(cause) ?? "");
      throw full ? this.#room.full(cause) : spoolFailed(this.#options.dir, cause);
    }
  }
}

class StagedDiskFile extends DiskSource implements StagedFile {
  override readonly sha256: string;
  readonly #share: Share;
  /** The owner, and everybody who retains it. */
  readonly #users = new Set<object>();
  readonly #owner: object = {};

  constructor(path: string, state: FileState, sha256: string, share: Share) {
    super(path, state, sha256);
    this.sha256 = sha256;
    this.#share = share;
    this.#users.add(this.#owner);
  }

  release(): Promise<void> {
    return this.#leave(this.#owner);
  }

  retain(): () => void {
    if (this.#users.size === 0) throw sourceChanged(`The file ${this.path}`);
    const user = {};
    this.#users.add(user);
    return () => void this.#leave(user);
  }

  async #leave(user: object): Promise<void> {
    if (!this.#users.delete(user) || this.#users.size > 0) return;
    await rm(this.path, { force: true }).catch(() => undefined);
    this.#share.giveBack();
  }
}

function bodyTooLarge(limitBytes: number, sizeBytes: number, atLeast: boolean): CodedError {
  return tooLarge({ what: "The body", whose: "this upload", limitBytes, sizeBytes, atLeast });
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, written, chunk.length - written);
    written += bytesWritten;
  }
}
