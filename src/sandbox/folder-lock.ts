import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CodedError } from "../base/errors.ts";

/** A folder that belongs to this process until it lets go or dies. */
export interface FolderLock {
  release(): void;
}

/**
 * Makes sure that one process at a time works in `folder`, which is created when missing. The lock is
 * SQLite's own lock on a file, so the operating system drops it with the process, however it ends.
 * Waits up to `waitMs` milliseconds (default 1000) for a process that is just ending; then throws
 * `SANDBOX_FOLDER_IN_USE`.
 */
export function lockFolder(folder: string, waitMs = 1000): FolderLock {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(join(folder, "lock.sqlite"), { timeout: waitMs });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    throw new CodedError(
      "SANDBOX_FOLDER_IN_USE",
      `The data folder ${folder} is used by another running sandbox. Stop it, or give this one a folder of its own.`,
      { cause, status: 409 },
    );
  }
  return { release: () => database.close() };
}
