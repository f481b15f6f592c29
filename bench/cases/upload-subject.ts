import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ContentLock } from "../../src/files/content-lock.ts";
import type { FileManager, StoredFile } from "../../src/files/file-manager.ts";
import { openLegacyFileManager } from "../../src/files/legacy/legacy-file-manager.ts";
import { fileSource } from "../../src/files/source.ts";
import type { SupabaseAccess } from "../../src/files/storage/supabase-connection.ts";
import { openStreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import { ActiveCall } from "../../src/migration/call.ts";

/** Which of the two file managers is measured. */
export type ManagerName = "legacy" | "streaming";

const OWNER = "bench";

/**
 * A file manager as the product opens it, without AI providers. `atOnce`: uploads of the streaming path
 * that run at once, with as many connections; null for its own defaults.
 */
export function openManager(
  name: ManagerName,
  supabase: SupabaseAccess,
  atOnce: number | null = null,
): FileManager {
  const options = {
    supabase,
    clock: systemClock,
    logger: silentLogger,
    lock: new ContentLock(),
    providers: [],
  };
  if (name === "legacy") return openLegacyFileManager(options);
  if (atOnce === null) return openStreamingFileManager(options);
  return openStreamingFileManager({
    ...options,
    uploads: atOnce,
    storage: { writeConnections: Math.max(16, atOnce) },
  });
}

/** Uploads one file of this machine. */
export async function upload(manager: FileManager, path: string): Promise<StoredFile> {
  const source = await fileSource(path);
  return manager.upload(
    {
      owner: OWNER,
      name: "bench.bin",
      purpose: "file-extract",
      provider: "none",
      mimeType: "application/octet-stream",
      source,
      metadata: {},
    },
    callOf("files.upload"),
  );
}

/** Reads one file to its end and returns the milliseconds until its first byte. */
export async function download(
  manager: FileManager,
  file: StoredFile,
  onChunk: () => Promise<void> | void = () => undefined,
): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  let firstMs: number | null = null;
  const { body } = await manager.download({ owner: OWNER, id: file.id }, callOf("files.download"));
  let bytes = 0;
  for await (const chunk of body) {
    firstMs ??= systemClock.monotonicMs() - startedMs;
    bytes += (chunk as Buffer).length;
    await onChunk();
  }
  if (bytes !== file.sizeBytes || firstMs === null) {
    throw new CodedError(
      "BENCH_TRANSFER_FAILED",
      `A download had ${bytes} of ${file.sizeBytes} bytes.`,
    );
  }
  return firstMs;
}

/** Reads about so many bytes of a file and gives up. */
export async function abandon(
  manager: FileManager,
  file: StoredFile,
  afterBytes: number,
): Promise<void> {
  const { body } = await manager.download({ owner: OWNER, id: file.id }, callOf("files.download"));
  let bytes = 0;
  for await (const chunk of body) {
    bytes += (chunk as Buffer).length;
    if (bytes >= afterBytes) break;
  }
}

/** Names of the newest files. */
export async function list(manager: FileManager): Promise<void> {
  await manager.list({ owner: OWNER, limit: 20 }, callOf("files.list"));
}

/** Removes what was uploaded, so that a run does not fill the disk. */
export async function remove(manager: FileManager, file: StoredFile): Promise<void> {
  await manager.delete({ owner: OWNER, id: file.id }, callOf("files.delete"));
}

function callOf(operation: string): ActiveCall {
  return new ActiveCall(operation, "candidate", "served", OWNER, {});
}
