import { systemClock } from "../../src/base/clock.ts";
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

/** A file manager as the product opens it, without AI providers. */
export function openManager(name: ManagerName, supabase: SupabaseAccess): FileManager {
  const options = {
    supabase,
    clock: systemClock,
    logger: silentLogger,
    lock: new ContentLock(),
    providers: [],
  };
  return name === "legacy" ? openLegacyFileManager(options) : openStreamingFileManager(options);
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

/** Removes what was uploaded, so that a run does not fill the disk. */
export async function remove(manager: FileManager, file: StoredFile): Promise<void> {
  await manager.delete({ owner: OWNER, id: file.id }, callOf("files.delete"));
}

function callOf(operation: string): ActiveCall {
  return new ActiveCall(operation, "candidate", "served", OWNER, {});
}
