import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { CHUNK_BYTES, identityOf } from "../source.ts";
import type { HashJob } from "./hash-thread.ts";

// Standing still is what this thread is for: it has nothing else to do, and needs no thread pool.
const halt = workerData as Int32Array;
const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);

parentPort?.on("message", (job: HashJob) => {
  let sha256: string | null = null;
  try {
    sha256 = hashOf(job);
  } catch {
    // Who asked reads the file itself, and meets the same obstacle with a name for it.
  }
  parentPort?.postMessage(sha256);
});

/** Null when it was told to stop, or the file is not, or does not stay, the announced one. */
function hashOf({ path, identity, sizeBytes }: HashJob): string | null {
  const descriptor = openSync(path, "r");
  try {
    if (identityOf(path, fstatSync(descriptor, { bigint: true })) !== identity) return null;
    const hash = createHash("sha256");
    for (let position = 0; position < sizeBytes; ) {
      if (Atomics.load(halt, 0) === 1) return null;
      const wanted = Math.min(CHUNK_BYTES, sizeBytes - position);
      const bytesRead = readSync(descriptor, buffer, 0, wanted, position);
      if (bytesRead === 0) return null;
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
    return hash.digest("hex");
  } finally {
    closeSync(descriptor);
  }
}
