import type { Readable } from "node:stream";
import type { ByteRange } from "../file-manager.ts";

/** Bytes on their way to storage: all at once, or chunk by chunk in the order of the file. */
type ObjectBody = Buffer | AsyncIterable<Uint8Array>;

/** An object to store. */
export interface NewObject {
  readonly key: string;
  /** Exactly as many bytes as the body has. */
  readonly sizeBytes: number;
  readonly mimeType: string;
  /** Asked once for each attempt, always for the same bytes. A body that throws stops the upload, and nothing is stored. */
  readonly open: () => ObjectBody;
}

/** What storage says about an object. */
export interface ObjectFacts {
  readonly sizeBytes: number;
  /** MD5 in hex where the ETag is one, else null: stores that keep an object in parts have no MD5 of it. */
  readonly md5: string | null;
}

/**
 * Port: where the bytes are. Failures are `FILES_BACKEND_UNAVAILABLE` (worth another try) or
 * `FILES_BACKEND_REJECTED` (not); an abort rejects with the signal's reason.
 */
export interface ObjectStorage {
  /** Stores the whole object, or nothing; replaces one of the same key. */
  put(object: NewObject, signal: AbortSignal): Promise<void>;
  /** All bytes, or those of a range inside the object. Null when there is no such object. */
  get(key: string, range: ByteRange | null, signal: AbortSignal): Promise<Readable | null>;
  /** Null when there is no such object. */
  head(key: string, signal: AbortSignal): Promise<ObjectFacts | null>;
  /** Succeeds when the object is gone, also when it was not there. */
  remove(key: string, signal: AbortSignal): Promise<void>;
  /** So many uploads are about to come: opens connections for them ahead, where it can. */
  prepare?(count: number): void;
  close(): Promise<void>;
}

/** An object as a list names it. */
export interface ListedObject {
  readonly key: string;
  /** -1 where the list does not say. */
  readonly sizeBytes: number;
  /** ISO 8601; empty where the list does not say. */
  readonly storedAt: string;
}

/** Port: which objects there are. */
export interface ObjectListing {
  /**
   * All objects in the folder `prefix` (empty for the whole bucket, else ending with a slash) and below,
   * in no particular order. What comes and goes meanwhile may be missing, or be there.
   */
  list(prefix: string, signal: AbortSignal): AsyncIterable<ListedObject>;
}

/** The MD5 that an ETag carries, or null when it carries none. */
export function md5OfEtag(etag: string | null | undefined): string | null {
  return /^"?([0-9a-f]{32})"?$/i.exec(etag ?? "")?.[1]?.toLowerCase() ?? null;
}
