import { createHash, randomUUID } from "node:crypto";
import { readdirSync, renameSync } from "node:fs";
import { readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../../base/atomic-file.ts";
import type { Clock } from "../../../base/clock.ts";
import {
  makeProcessFolder,
  type ProcessFolder,
  sweepProcessFolders,
} from "../../spool/process-folder.ts";
import { type ContentKey, contentKeyText } from "../object-key.ts";

/** Settings of {@link PartialUploads}. */
export interface PartialUploadsOptions {
  /** A folder on a local disk, shared by processes; null keeps nothing beyond a call. */
  readonly folder: string | null;
  /** Names the bucket: what was sent to another one is of no use. */
  readonly target: string;
  readonly clock: Clock;
  /** Milliseconds that an unfinished upload is kept at most. */
  readonly keepMs: number;
  /** Unfinished uploads kept at a time; beyond it the oldest go. */
  readonly keptMax: number;
}

/** What identifies bytes that are on their way. */
export interface PartialKey extends ContentKey {
  readonly sizeBytes: number;
}

/** An unfinished upload as it lies on disk. */
interface PartialEntry {
  readonly version: 1;
  readonly target: string;
  readonly contentId: string;
  readonly location: string;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
}

/** How often what has expired is looked for, in milliseconds. */
const SWEEP_EVERY_MS = 600_000;
const ENTRY = /^[0-9a-f]{64}\.json$/;

/** How an upload is written down. */
interface PartialUploadHooks {
  readonly save: (location: string, expiresAtMs: number) => Promise<void>;
  readonly drop: (keep: boolean) => Promise<void>;
  readonly onRelease: () => void;
}

const noHooks: PartialUploadHooks = {
  save: () => Promise.resolve(),
  drop: () => Promise.resolve(),
  onRelease: () => undefined,
};

/** An upload that one call alone works on until it forgets or releases it. */
export class PartialUpload {
  /** The content row the object will belong to; part of the object's key. */
  readonly contentId: string;
  readonly #save: PartialUploadHooks["save"];
  readonly #drop: (keep: boolean) => Promise<void>;
  readonly #onRelease: () => void;
  #location: string | null;

  constructor(
    entry: { readonly contentId: string; readonly location: string | null },
    { save, drop, onRelease }: PartialUploadHooks = noHooks,
  ) {
    this.contentId = entry.contentId;
    this.#location = entry.location;
    this.#save = save;
    this.#drop = drop;
    this.#onRelease = onRelease;
  }

  /** Where it is on the server; null before it was begun there. */
  get location(): string | null {
    return this.#location;
  }

  /** It was begun on the server. */
  async begun(location: string, expiresAtMs: number): Promise<void> {
    this.#location = location;
    await this.#save(location, expiresAtMs);
  }

  /** It is an object now, or gone: nothing can be continued. */
  async forget(): Promise<void> {
    if (this.#location === null) return;
    this.#location = null;
    await this.#drop(false);
  }

  /** The call is over; what is still unfinished is kept for another one. */
  async release(): Promise<void> {
    if (this.#location !== null) await this.#drop(true);
    this.#onRelease();
  }
}

/**
 * Remembers unfinished uploads across calls, processes and crashes: one small file each, named after
 * what the bytes are and not after where they came from, so that the same bytes continue from wherever
 * they are read. A file lies in the folder of the process that works on it; when that process dies it
 * is anybody's again.
 */
export class PartialUploads {
  readonly #options: PartialUploadsOptions;
  /** Names of entries that calls of this process work on. */
  readonly #claimed = new Set<string>();
  #own: ProcessFolder | null = null;
  #nextSweepMs = Number.NEGATIVE_INFINITY;

  constructor(options: PartialUploadsOptions) {
    this.#options = options;
  }

  /** The unfinished upload of these bytes, or a new one; no other call gets it meanwhile. */
  async claim(key: PartialKey): Promise<PartialUpload> {
    const { folder } = this.#options;
    if (folder === null) return this.#unnamed();
    const { target } = this.#options;
    const text = `${target} ${contentKeyText(key)} ${key.sizeBytes}`;
    const name = `${createHash("sha256").update(text).digest("hex")}.json`;
    // Another call of this process is at the same bytes: this one is on its own.
    if (this.#claimed.has(name)) return this.#unnamed();
    this.#claimed.add(name);
    const own = this.#ownFolder(folder).path;
    // The file has one place, so of two calls that want it one moves it.
    const isMine = await rename(join(folder, name), join(own, name)).then(
      () => true,
      () => false,
    );
    const entry = isMine ? await readEntry(join(own, name), target) : null;
    const expired = entry !== null && entry.expiresAtMs <= this.#options.clock.now();
    if (entry !== null && !expired) return this.#named(entry, folder, name);
    if (isMine) await rm(join(own, name), { force: true });
    return this.#named({ contentId: randomUUID(), location: null }, folder, name);
  }

  /**
   * Where the uploads are that are too old or too many; they are forgotten here, and what processes left
   * that are gone is taken over. To be called before claims: only now and then it looks at the disk.
   */
  async takeExpired(): Promise<string[]> {
    const { folder, clock, keptMax, target } = this.#options;
    if (folder === null || clock.monotonicMs() < this.#nextSweepMs) return [];
    this.#nextSweepMs = clock.monotonicMs() + SWEEP_EVERY_MS;
    sweepProcessFolders(folder, (dead) => rescue(dead, folder));
    const kept: { readonly name: string; readonly entry: PartialEntry | null }[] = [];
    for (const name of await readdir(folder)) {
      if (!ENTRY.test(name)) continue;
      kept.push({ name, entry: await readEntry(join(folder, name), null) });
    }
    kept.sort((a, b) => (a.entry?.expiresAtMs ?? 0) - (b.entry?.expiresAtMs ?? 0));
    const tooMany = kept.length - keptMax;
    const locations: string[] = [];
    for (const [index, { name, entry }] of kept.entries()) {
      if (index >= tooMany && entry !== null && entry.expiresAtMs > clock.now()) continue;
      await rm(join(folder, name), { force: true });
      if (entry?.target === target) locations.push(entry.location);
    }
    return locations;
  }

  /** Leaves what is unfinished to other processes. */
  close(): void {
    const { folder } = this.#options;
    if (this.#own === null || folder === null) return;
    const own = this.#own;
    this.#own = null;
    try {
      rescue(own.path, folder);
    } catch {
      // The folder is gone or full: what was kept there is lost, and is sent anew one day.
    }
    own.close();
  }

  #unnamed(): PartialUpload {
    return new PartialUpload({ contentId: randomUUID(), location: null });
  }

  #named(
    entry: { readonly contentId: string; readonly location: string | null },
    folder: string,
    name: string,
  ): PartialUpload {
    const path = join(this.#ownFolder(folder).path, name);
    const { contentId } = entry;
    const save = (location: string, expiresAtMs: number): Promise<void> => {
      const { clock, keepMs, target } = this.#options;
      const saved: PartialEntry = {
        version: 1,
        target,
        contentId,
        location,
        expiresAtMs: Math.min(expiresAtMs, clock.now() + keepMs),
      };
      return replaceFile(path, JSON.stringify(saved));
    };
    const drop = async (keep: boolean): Promise<void> => {
      // An entry that cannot be moved or removed expires where it is.
      const dropped = keep ? rename(path, join(folder, name)) : rm(path, { force: true });
      await dropped.catch(() => undefined);
    };
    const onRelease = (): void => void this.#claimed.delete(name);
    return new PartialUpload(entry, { save, drop, onRelease });
  }

  #ownFolder(folder: string): ProcessFolder {
    this.#own ??= makeProcessFolder(folder);
    return this.#own;
  }
}

/** Gives the entries of a process that is gone back to everybody. */
function rescue(from: string, folder: string): void {
  for (const name of readdirSync(from)) {
    if (ENTRY.test(name)) renameSync(join(from, name), join(folder, name));
  }
}

/** Null for one that is not whole, or of another bucket. */
async function readEntry(path: string, target: string | null): Promise<PartialEntry | null> {
  try {
    const entry = JSON.parse(await readFile(path, "utf8")) as PartialEntry;
    const fits = entry.version === 1 && (target === null || entry.target === target);
    return fits && typeof entry.location === "string" ? entry : null;
  } catch {
    return null;
  }
}
