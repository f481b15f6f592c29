import { mkdtemp, rm, statfs } from "node:fs/promises";
import { freemem } from "node:os";
import { join } from "node:path";

/** Where the backend under measurement keeps its objects and rows. */
export interface StoreFolder {
  readonly path: string;
  readonly isMemory: boolean;
  readonly remove: () => Promise<void>;
}

/** The file system in memory that Linux has. */
const MEMORY = "/dev/shm";
/** What must be free there, and as memory: the largest case keeps 1 GiB of each path. */
const FREE_BYTES = 6 * 2 ** 30;

/**
 * A folder in memory where there is room, else one below `folder`. The backend syncs every object and
 * row to its disk before it answers. Here that would be one disk for client, server and whoever else
 * uses the machine, which serves uploads one after the other however many come at once: a figure for
 * `cloud` would say how fast this disk is.
 */
export async function openStoreFolder(folder: string): Promise<StoreFolder> {
  if (!(await hasMemory())) {
    return { path: join(folder, "store"), isMemory: false, remove: async () => undefined };
  }
  const path = await mkdtemp(join(MEMORY, "changeover-bench-"));
  return { path, isMemory: true, remove: () => rm(path, { recursive: true, force: true }) };
}

async function hasMemory(): Promise<boolean> {
  if (freemem() < FREE_BYTES) return false;
  try {
    const { bavail, bsize } = await statfs(MEMORY);
    return bavail * bsize >= FREE_BYTES;
  } catch {
    return false;
  }
}
