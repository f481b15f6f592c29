import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** A folder that belongs to this process until it closes it or dies. */
export interface ProcessFolder {
  readonly path: string;
  /** Removes the folder with all that is in it. */
  close(): void;
}

/** Milliseconds to wait for another process that is just making or sweeping a folder. */
const LOCK_WAIT_MS = 5000;
const LOCK_FILE = "lock.sqlite";
const ownName = /^process-[0-9a-f]{16}$/;

/**
 * Makes a folder of this process's own below `dir`, marked as in use with SQLite's lock on a file: the
 * operating system drops it with the process, however it ends, and a reused process number cannot
 * pass for it. `dir` must be on a local disk.
 */
export function makeProcessFolder(dir: string): ProcessFolder {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return alone(dir, () => {
    const path = join(dir, `process-${randomBytes(8).toString("hex")}`);
    mkdirSync(path, { mode: 0o700 });
    const lock = lockIn(path, 0);
    return {
      path,
      close: () => {
        rmSync(path, { recursive: true, force: true });
        lock?.close();
      },
    };
  });
}

/**
 * Removes the folders below `dir` whose processes are gone and says how many there were. Folders of
 * living processes, this one's included, and everything else in `dir` stay untouched. `rescue` may take
 * out what is still of use; it is given each folder just before it is removed.
 */
export function sweepProcessFolders(dir: string, rescue?: (path: string) => void): number {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return alone(dir, () => {
    const folders = readdirSync(dir, { withFileTypes: true });
    return folders.filter(
      (entry) =>
        entry.isDirectory() && ownName.test(entry.name) && sweep(join(dir, entry.name), rescue),
    ).length;
  });
}

function sweep(path: string, rescue?: (path: string) => void): boolean {
  const lock = lockIn(path, 0);
  if (lock === null) return false;
  rescue?.(path);
  lock.close();
  rmSync(path, { recursive: true, force: true });
  return true;
}

/** One process at a time makes or sweeps folders: a new folder has no lock for a moment. */
function alone<T>(dir: string, work: () => T): T {
  const lock = lockIn(dir, LOCK_WAIT_MS);
  if (lock === null) throw new Error(`${dir} stayed locked for ${LOCK_WAIT_MS} ms`);
  try {
    return work();
  } finally {
    lock.close();
  }
}

/** The lock of a folder, or null when another holder has it for longer than `waitMs`. */
function lockIn(folder: string, waitMs: number): DatabaseSync | null {
  const database = new DatabaseSync(join(folder, LOCK_FILE), { timeout: waitMs });
  try {
    database.exec("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    if ((error as { errcode?: unknown }).errcode === SQLITE_BUSY) return null;
    throw error;
  }
}

/** https://sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;
