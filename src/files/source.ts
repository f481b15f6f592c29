import { close, createReadStream, fstat, open, read } from "node:fs";
import { type FileHandle, open as openHandle, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { codeOf, isCodedError } from "../base/errors.ts";
import { missing, notAFile, sourceChanged, unreadable } from "./errors.ts";
import type { ByteRange, FileSource } from "./file-manager.ts";

/** How much is read at once, in bytes. Larger reads cost memory and gain no speed. */
export const CHUNK_BYTES: number = 256 * 1024;

/** What tells one state of a file from another. */
export interface FileState {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ino: bigint;
}

/**
 * A source that reads an ordinary file of this machine. Whenever it is opened, the file is first
 * compared with the state that was announced, so that a file replaced meanwhile is never sent.
 */
export class DiskSource implements FileSource {
  readonly sizeBytes: number;
  readonly path: string;
  readonly sha256: string | null;
  readonly identity: string;

  constructor(path: string, state: FileState, sha256: string | null = null) {
    this.path = path;
    this.sizeBytes = Number(state.size);
    this.sha256 = sha256;
    this.identity = identityOf(path, state);
  }

  open(range?: ByteRange): Readable {
    const start = range?.start ?? 0;
    // Stops at the announced end, so that a file that grows is not sent further.
    const end = Math.min(range?.end ?? this.sizeBytes - 1, this.sizeBytes - 1);
    if (end < start) return Readable.from([], { objectMode: false });
    return createReadStream(this.path, {
      start,
      end,
      highWaterMark: CHUNK_BYTES,
      fs: {
        open: (path: string, flags: string, mode: number, done: OpenDone) =>
          open(path, flags, mode, (error, descriptor) => {
            if (error === null) this.#compare(descriptor, done);
            else done(this.#coded(error));
          }),
        read: (...[descriptor, buffer, offset, length, position, done]: ReadArguments) =>
          read(descriptor, buffer, offset, length, position, (error, bytesRead) => {
            if (error !== null) done(unreadable(this.path, error));
            // Nothing is read past the announced end, so an end before it means that the file shrank.
            else if (bytesRead === 0) done(sourceChanged(`The file ${this.path}`));
            else done(null, bytesRead, buffer);
          }),
        close,
      },
    });
  }

  async verifyUnchanged(): Promise<void> {
    const state = await stat(this.path, { bigint: true }).catch((cause: unknown) => {
      throw sourceChanged(`The file ${this.path}`, cause);
    });
    this.#check(state);
  }

  /** Throws `FILES_SOURCE_CHANGED` unless `state` is the announced one. */
  #check(state: FileState): void {
    if (identityOf(this.path, state) !== this.identity) {
      throw sourceChanged(`The file ${this.path}`);
    }
  }

  #compare(descriptor: number, done: OpenDone): void {
    fstat(descriptor, { bigint: true }, (error, state) => {
      try {
        if (error !== null) throw error;
        this.#check(state);
        done(null, descriptor);
      } catch (cause) {
        close(descriptor, () => done(this.#coded(cause)));
      }
    });
  }

  #coded(cause: unknown): Error {
    if (isCodedError(cause)) return cause;
    const gone = codeOf(cause) === "ENOENT";
    return gone ? sourceChanged(`The file ${this.path}`, cause) : unreadable(this.path, cause);
  }
}

type OpenDone = (error: Error | null, descriptor?: number) => void;
type ReadDone = (error: Error | null, bytesRead?: number, buffer?: Buffer) => void;
type ReadArguments = [
  descriptor: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
  done: ReadDone,
];

/**
 * A source for the file at `path` (links are followed). Throws `FILES_MISSING`, `FILES_NOT_A_FILE`
 * for folders, devices, pipes and sockets, or `FILES_UNREADABLE`.
 */
export async function fileSource(path: string): Promise<DiskSource> {
  const absolute = resolve(path);
  try {
    const state = await stat(absolute, { bigint: true });
    // Before opening: opening a pipe would wait for its writer.
    if (!state.isFile()) throw notAFile(path, kindOf(state));
    const handle = await openHandle(absolute, "r");
    await handle.close();
    return new DiskSource(absolute, state);
  } catch (cause) {
    if (isCodedError(cause)) throw cause;
    throw pathError(path, cause);
  }
}

/** A source of bytes that are in memory. */
export class BytesSource implements FileSource {
  readonly bytes: Uint8Array;
  readonly path = null;
  readonly sha256 = null;
  readonly identity = null;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  open({ start, end }: ByteRange = { start: 0, end: this.bytes.length - 1 }): Readable {
    return Readable.from(slices(this.bytes.subarray(start, end + 1)), { objectMode: false });
  }

  verifyUnchanged(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * A source for bytes that are in memory already. They are not copied: nobody may write to them while
 * the source is in use.
 */
export function bytesSource(bytes: Uint8Array): BytesSource {
  return new BytesSource(bytes);
}

/**
 * All bytes of a source in turn, for a sender that waits until each chunk is written before it asks
 * for the next (undici's `request` does). A file is read into two buffers of 256 KiB in turn, which
 * keeps a transfer's memory the same for every size: **a chunk is only good until the one after the
 * next is asked for**, so it must not be kept. Chunks are full but for the last, because undici takes
 * a chunk as written only where it reaches the socket's high-water mark of 64 KiB.
 * With `start` from that byte on. Throws `FILES_SOURCE_CHANGED` when the file is not, or does not stay,
 * the announced one.
 */
export async function* sourceChunks(
  source: FileSource,
  start = 0,
): AsyncGenerator<Uint8Array, void, void> {
  if (start > 0 && start >= source.sizeBytes) return;
  if (source.path === null) {
    const range = start === 0 ? undefined : { start, end: source.sizeBytes - 1 };
    for await (const chunk of source.open(range)) yield chunk as Uint8Array;
    return;
  }
  const handle = await openHandle(source.path, "r").catch((cause: unknown) => {
    throw sourceChanged(`The file ${source.path}`, cause);
  });
  try {
    await verifyHandle(source, source.path, handle);
    yield* handleChunks(source.path, handle, { start, end: source.sizeBytes });
  } finally {
    await handle.close();
  }
}

async function* handleChunks(
  path: string,
  handle: FileHandle,
  { start, end }: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array, void, void> {
  const bufferBytes = Math.min(CHUNK_BYTES, end - start);
  let next = Buffer.allocUnsafeSlow(bufferBytes);
  let other = end - start > CHUNK_BYTES ? Buffer.allocUnsafeSlow(bufferBytes) : next;
  for (let position = start; position < end; ) {
    const wanted = Math.min(bufferBytes, end - position);
    await fill(path, handle, next.subarray(0, wanted), position);
    yield next.subarray(0, wanted);
    position += wanted;
    [next, other] = [other, next];
  }
}

async function fill(
  path: string,
  handle: FileHandle,
  buffer: Buffer,
  position: number,
): Promise<void> {
  for (let filled = 0; filled < buffer.length; ) {
    const { bytesRead } = await handle.read(
      buffer,
      filled,
      buffer.length - filled,
      position + filled,
    );
    if (bytesRead === 0) throw sourceChanged(`The file ${path}`);
    filled += bytesRead;
  }
}

async function verifyHandle(source: FileSource, path: string, handle: FileHandle): Promise<void> {
  if (source.identity === null) return;
  const state = await handle.stat({ bigint: true });
  if (identityOf(path, state) !== source.identity) throw sourceChanged(`The file ${path}`);
}

/** Tells one state of a file from another, as text. */
export function identityOf(path: string, { size, mtimeNs, ino }: FileState): string {
  return `${size}:${mtimeNs}:${ino}:${path}`;
}

function* slices(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    yield bytes.subarray(start, start + CHUNK_BYTES);
  }
}

interface Kinds {
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

function kindOf(state: Kinds): string {
  if (state.isDirectory()) return "a folder";
  if (state.isFIFO()) return "a pipe";
  return state.isSocket() ? "a socket" : "a device";
}

function pathError(path: string, cause: unknown): Error {
  const code = codeOf(cause);
  if (code === "ENOENT" || code === "ENOTDIR") return missing(path, cause);
  return unreadable(path, cause);
}
