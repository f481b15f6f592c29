import { randomUUID } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type Clock, sleep } from "./clock.ts";
import { CodedError, codeOf } from "./errors.ts";

/**
 * Replaces a file's text so that a reader, and the next start after a crash, sees the old text or the
 * new one and nothing between: written beside it, synced, renamed. Mode 0600 unless said otherwise.
 */
export async function replaceFile(path: string, text: string, mode = 0o600): Promise<void> {
  const beside = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(beside, "wx", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes a rename survive a power cut; some systems do not allow it for folders, which is no error. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows and some network file systems cannot sync a folder.
  }
}

/** Waits and limits of {@link withFileLock}. */
export interface FileLockOptions {
  /** How long to wait for another holder, in milliseconds; default 5,000. */
  readonly waitMs?: number;
  /** A lock older than this was left behind by a crash and is taken over; default 10,000 ms. */
  readonly staleMs?: number;
}

/**
 * Runs `work` while no other process does so under the same `<path>.lock`. Meant for work of a few
 * milliseconds. Throws `BASE_LOCKED` when the lock cannot be had in time.
 */
export async function withFileLock<T>(
  path: string,
  clock: Clock,
  work: () => Promise<T>,
  options: FileLockOptions = {},
): Promise<T> {
  const { waitMs = 5000, staleMs = 10_000 } = options;
  const lock = `${path}.lock`;
  const deadlineMs = clock.monotonicMs() + waitMs;
  while (!(await tryLock(lock, clock, staleMs))) {
    if (clock.monotonicMs() >= deadlineMs) {
      throw new CodedError(
        "BASE_LOCKED",
        `Another process has held ${lock} for ${waitMs} ms. If none of ours is running, remove that file.`,
        { retryable: true, status: 503 },
      );
    }
    await sleep(clock, 20);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function tryLock(lock: string, clock: Clock, staleMs: number): Promise<boolean> {
  try {
    await (await open(lock, "wx", 0o600)).close();
    return true;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    const age = await stat(lock).then(
      (stats) => clock.now() - stats.mtimeMs,
      () => 0,
    );
    if (age > staleMs) await rm(lock, { force: true });
    return false;
  }
}
