import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { type Clock, sleep } from "./clock.ts";
import { CodedError, codeOf } from "./errors.ts";

/** Only the user that runs the process may read what is kept in a data folder. */
export const fileMode = 0o600;
const folderMode = 0o700;

/** Creates the folder where it is missing, for its owner only. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: folderMode });
}

/** The text of a file, or null when there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** Makes a new or renamed entry of a folder survive a power cut, where the system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    // Windows and some network file systems cannot sync a folder; a folder that is gone is an error.
    if (codeOf(error) === "ENOENT") throw error;
  }
}

/**
 * Replaces a file's text so that a reader, and the next start after a crash at any moment, sees the old
 * text or the new one and nothing between: written beside it, synced, renamed. Mode 0600.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(beside, "wx", fileMode);
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

/** How long to wait for a lock, in milliseconds, and how long between two looks. */
const lockWaitMs = 3000;
const lockPauseMs = 20;

/**
 * Runs `work` while holding `<path>.lock`. Meant for work of a few milliseconds. A lock whose process on
 * this host is dead is taken over. Throws `BASE_LOCKED` when somebody holds it for longer than 3 s.
 */
export async function withFileLock<T>(
  path: string,
  clock: Clock,
  work: () => Promise<T>,
): Promise<T> {
  const lock = `${path}.lock`;
  const owner = `${hostname()} ${process.pid}`;
  const endMs = clock.monotonicMs() + lockWaitMs;
  while (!(await take(lock, owner))) {
    if (clock.monotonicMs() >= endMs) throw lockedError(lock);
    await clearIfDead(lock);
    await sleep(clock, lockPauseMs);
  }
  try {
    return await work();
  } finally {
    await unlink(lock).catch(() => undefined);
  }
}

async function take(lock: string, owner: string): Promise<boolean> {
  try {
    const handle = await open(lock, "wx", fileMode);
    await handle.writeFile(owner).finally(() => handle.close());
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

async function clearIfDead(lock: string): Promise<void> {
  const owner = await readIfThere(lock);
  const [host, pid] = owner?.split(" ") ?? [];
  if (owner === null || host !== hostname() || pid === undefined || isAlive(Number(pid))) return;
  // Moved away first: whoever else judged it dead at the same time then finds nothing to remove.
  const aside = `${lock}.dead-${process.pid}`;
  try {
    await rename(lock, aside);
    await unlink(aside);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

const lockedError = (lock: string): CodedError =>
  new CodedError(
    "BASE_LOCKED",
    `Another process has held ${lock} for longer than ${lockWaitMs} ms. Remove the file if that process is gone.`,
    { retryable: true, status: 503, retryAfterSeconds: 1, details: { lock } },
  );
