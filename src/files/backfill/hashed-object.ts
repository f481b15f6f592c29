import { createHash } from "node:crypto";
import { CodedError } from "../../base/errors.ts";
import { mimeTypeOf } from "../mime.ts";
import type { Rate } from "../retry/rate.ts";
import { bytesSource } from "../source.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";

/** What is found out about an object by reading it once. */
export interface HashedObject {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
}

/** How an object is read. */
export interface HashObjectOptions {
  readonly storage: Pick<ObjectStorage, "get">;
  readonly name: string;
  /** Bytes a second, all objects together; null for as fast as it goes. */
  readonly bytesRate: Rate | null;
  readonly signal: AbortSignal;
}

/** More than the MIME judge looks at, so that it sees that there is more. */
const SAMPLE_BYTES = 80 * 1024;

/** Streams an object and hashes it; memory stays the same for every size. Null when it is gone. */
export async function hashObject(
  key: string,
  { storage, name, bytesRate, signal }: HashObjectOptions,
): Promise<HashedObject | null> {
  const body = await storage.get(key, null, signal);
  if (body === null) return null;
  const hash = createHash("sha256");
  const sample: Buffer[] = [];
  let sizeBytes = 0;
  let sampled = 0;
  try {
    for await (const chunk of body) {
      const bytes = chunk as Buffer;
      await bytesRate?.pass(bytes.length, signal);
      hash.update(bytes);
      sizeBytes += bytes.length;
      if (sampled >= SAMPLE_BYTES) continue;
      const part = Buffer.from(bytes.subarray(0, SAMPLE_BYTES - sampled));
      sample.push(part);
      sampled += part.length;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw new CodedError(
      "FILES_BACKEND_UNAVAILABLE",
      "The backend failed while an object was read. Run backfill again: it goes on where it was.",
      { status: 503, retryable: true, cause: error, details: { effect: "absent" } },
    );
  } finally {
    body.destroy();
  }
  const mimeType = await mimeTypeOf(bytesSource(Buffer.concat(sample)), name);
  return { sha256: hash.digest("hex"), sizeBytes, mimeType };
}
