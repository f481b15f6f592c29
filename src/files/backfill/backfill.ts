import { randomUUID } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { codeOf, toError } from "../../base/errors.ts";
import type { Catalog, Content, FileEntry } from "../catalog/catalog.ts";
import { normalFileName } from "../file-name.ts";
import { Rate } from "../retry/rate.ts";
import type { ObjectListing, ObjectStorage } from "../storage/object-storage.ts";
import { contentIdOfKey } from "../verify/comparison.ts";
import { adoptedFileId, shardOf } from "./adopted-id.ts";
import { hashObject } from "./hashed-object.ts";

/** Where a backfill works. */
export interface BackfillPlaces {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage & ObjectListing;
  readonly clock: Clock;
}

/** How a backfill goes; everything but the owner and the signal has a default. */
export interface BackfillOptions {
  /** Whose files the objects become. */
  readonly owner: string;
  /** Only objects in this folder and below, ending with a slash; default: the whole bucket. */
  readonly prefix?: string;
  /** What the files are for; default `user_data`. */
  readonly purpose?: string;
  /** Only looks which objects are without a row; reads and writes nothing. */
  readonly dryRun?: boolean;
  /** Reads and hashes, and writes nothing. */
  readonly validateOnly?: boolean;
  /** Objects at once; default 4. */
  readonly concurrency?: number;
  /** Objects that are begun in a second; default: no limit. */
  readonly objectsPerSecond?: number;
  /** Bytes read in a second, all objects together; default: no limit. */
  readonly bytesPerSecond?: number;
  /** Only one part of the objects, so that several machines share the work: `index` of `count`, from 0. */
  readonly shard?: { readonly index: number; readonly count: number };
  readonly signal: AbortSignal;
  readonly progress?: (progress: BackfillProgress) => void;
}

/** How far it is. */
export interface BackfillProgress {
  readonly done: number;
  readonly total: number;
  readonly bytes: number;
  /** Milliseconds to go at the speed so far; null before the first object. */
  readonly etaMs: number | null;
}

/** An object that was not taken in, and why. */
export interface FailedObject {
  readonly key: string;
  readonly code: string;
  readonly reason: string;
}

/** An object whose bytes were stored already: its file points at those. */
export interface DuplicateObject {
  readonly key: string;
  /** Where the bytes are that its file points at. */
  readonly sameAs: string;
}

/** What a backfill came to. */
export interface BackfillReport {
  /** Objects that are not ours by their names. */
  readonly objects: number;
  /** Which had their file already. */
  readonly known: number;
  /** Which got one now; with `dryRun` or `validateOnly`, which would. */
  readonly adopted: number;
  readonly duplicates: readonly DuplicateObject[];
  readonly failed: readonly FailedObject[];
  readonly bytes: number;
}

/** Made by the storage's own web pages to keep an empty folder. */
const PLACEHOLDER = ".emptyFolderPlaceholder";

/**
 * Gives objects that were in the bucket before a hash and a row each. Every object is read once, in a
 * stream; nothing is moved or removed. What was done is found again by ids that follow from the objects'
 * names, so a run that was killed is simply run again, and two runs at once do the work once. Rejects
 * only when the bucket cannot be listed, or with the signal's reason.
 *
 * An object whose bytes are stored already stays where it is, and its file points at the others: delete
 * that file and the object has no row again, so that a later run would take it in once more.
 */
export async function backfill(
  places: BackfillPlaces,
  options: BackfillOptions,
): Promise<BackfillReport> {
  const total = await countObjects(places.storage, options);
  return new Run(places, options, total).all();
}

async function countObjects(storage: ObjectListing, options: BackfillOptions): Promise<number> {
  let total = 0;
  for await (const _key of wanted(storage, options)) total += 1;
  return total;
}

async function* wanted(
  storage: ObjectListing,
  { prefix = "", shard = { index: 0, count: 1 }, signal }: BackfillOptions,
): AsyncGenerator<string, void, void> {
  for await (const { key } of storage.list(prefix, signal)) {
    if (contentIdOfKey(key) !== null || key.endsWith(PLACEHOLDER)) continue;
    if (shardOf(key, shard.count) === shard.index) yield key;
  }
}

class Run {
  readonly #places: BackfillPlaces;
  readonly #options: BackfillOptions;
  readonly #total: number;
  readonly #objectsRate: Rate | null;
  readonly #bytesRate: Rate | null;
  readonly #startedMs: number;
  readonly #duplicates: DuplicateObject[] = [];
  readonly #failed: FailedObject[] = [];
  #done = 0;
  #known = 0;
  #adopted = 0;
  #bytes = 0;

  constructor(places: BackfillPlaces, options: BackfillOptions, total: number) {
    const { objectsPerSecond, bytesPerSecond } = options;
    const { clock } = places;
    this.#places = places;
    this.#options = options;
    this.#total = total;
    this.#objectsRate = objectsPerSecond === undefined ? null : new Rate(objectsPerSecond, clock);
    this.#bytesRate = bytesPerSecond === undefined ? null : new Rate(bytesPerSecond, clock);
    this.#startedMs = clock.monotonicMs();
  }

  async all(): Promise<BackfillReport> {
    const { concurrency = 4, signal } = this.#options;
    const keys = wanted(this.#places.storage, this.#options);
    const worker = async (): Promise<void> => {
      // One generator for all workers: it hands out each key once.
      for (let next = await keys.next(); next.done !== true; next = await keys.next()) {
        signal.throwIfAborted();
        await this.#objectsRate?.pass(1, signal);
        await this.#one(next.value);
        this.#done += 1;
        this.#tell();
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    return {
      objects: this.#done,
      known: this.#known,
      adopted: this.#adopted,
      duplicates: this.#duplicates,
      failed: this.#failed,
      bytes: this.#bytes,
    };
  }

  async #one(key: string): Promise<void> {
    const { signal } = this.#options;
    try {
      await this.#adopt(key);
    } catch (error) {
      signal.throwIfAborted();
      // Another machine may have been quicker with the same object.
      if (await this.#hasFile(key).catch(() => false)) {
        this.#known += 1;
        return;
      }
      signal.throwIfAborted();
      const { message } = toError(error);
      this.#failed.push({ key, code: codeOf(error) ?? "FAILED", reason: message });
    }
  }

  async #adopt(key: string): Promise<void> {
    const { dryRun = false, validateOnly = false, purpose = "user_data", signal } = this.#options;
    const { catalog, storage, clock } = this.#places;
    if (await this.#hasFile(key)) {
      this.#known += 1;
      return;
    }
    if (dryRun) {
      this.#adopted += 1;
      return;
    }
    const name = normalFileName(key.slice(key.lastIndexOf("/") + 1));
    const read = { storage, name, bytesRate: this.#bytesRate, signal };
    const object = await hashObject(key, read);
    // Removed since it was listed: there is nothing to take in.
    if (object === null) return;
    const { sha256, sizeBytes, mimeType } = object;
    this.#bytes += sizeBytes;
    const now = new Date(clock.now()).toISOString();
    const content: Content = {
      id: randomUUID(),
      sha256,
      provider: "none",
      purpose,
      storageKey: key,
      providerFileId: null,
      sizeBytes,
      createdAt: now,
    };
    const stored = validateOnly
      ? ((await catalog.findContent(content, signal)) ?? content)
      : await catalog.addContent(content, signal);
    if (stored.storageKey !== key) this.#duplicates.push({ key, sameAs: stored.storageKey });
    if (!validateOnly) await this.#addFile(key, { name, mimeType, content: stored, now });
    this.#adopted += 1;
  }

  async #addFile(
    key: string,
    facts: { name: string; mimeType: string; content: Content; now: string },
  ): Promise<void> {
    const { owner, signal } = this.#options;
    const { name, mimeType, content, now } = facts;
    const entry: FileEntry = {
      id: adoptedFileId(owner, key),
      owner,
      contentId: content.id,
      name,
      purpose: content.purpose,
      provider: "none",
      mimeType,
      metadata: { backfilled_from: key },
      createdAt: now,
      accessedAt: now,
    };
    if (await this.#places.catalog.addFile(entry, signal)) return;
    throw new Error("Its bytes were deleted while it was taken in; run backfill again.");
  }

  async #hasFile(key: string): Promise<boolean> {
    const { owner, signal } = this.#options;
    const id = adoptedFileId(owner, key);
    return (await this.#places.catalog.findFile({ owner, id }, signal)) !== null;
  }

  #tell(): void {
    const done = this.#done;
    const elapsedMs = this.#places.clock.monotonicMs() - this.#startedMs;
    const etaMs = done === 0 ? null : (elapsedMs / done) * Math.max(0, this.#total - done);
    this.#options.progress?.({ done, total: this.#total, bytes: this.#bytes, etaMs });
  }
}
