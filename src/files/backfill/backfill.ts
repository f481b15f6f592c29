import type { Clock } from "../../base/clock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { invalidOwner, unknownPurpose } from "../errors.ts";
import { ownerPattern } from "../file-manager.ts";
import { noneProfile } from "../providers/profiles.ts";
import { Rate } from "../retry/rate.ts";
import type { ListedObject, ObjectListing, ObjectStorage } from "../storage/object-storage.ts";
import { contentIdOfKey } from "../verify/comparison.ts";
import { Adoption } from "./adoption.ts";
import { BackfillMachine } from "./machine.ts";
import type { BackfillQueue } from "./queue.ts";
import {
  type BackfillTally,
  counted,
  type DuplicateObject,
  emptyTally,
  etaMs,
  type FailedObject,
  type Mark,
  sumUp,
} from "./tally.ts";

/** Where a backfill works. */
export interface BackfillPlaces {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage & ObjectListing;
  /** Not touched with `dryRun`. Its owner closes it. */
  readonly queue: BackfillQueue;
  readonly clock: Clock;
}

/** How a backfill goes; everything but the owner and the signal has a default. */
export interface BackfillOptions {
  /** Whose files the objects become: 1 to 100 letters, digits or `._@-`, as in a keys file. */
  readonly owner: string;
  /** Only objects in this folder and below, ending with a slash; default: the whole bucket. */
  readonly prefix?: string;
  /** What the files are for, one of the purposes of provider `none`; default `user_data`. */
  readonly purpose?: string;
  /** Only looks which objects are without a row; writes nothing, not even the queue. */
  readonly dryRun?: boolean;
  /** Reads and hashes, and writes no rows. */
  readonly validateOnly?: boolean;
  /** Objects that a machine takes from the queue at once; default 50. */
  readonly batchSize?: number;
  /** Objects at once, of this machine; default 4. */
  readonly concurrency?: number;
  /** Objects that this machine begins in a second; default: no limit. */
  readonly objectsPerSecond?: number;
  /** Bytes that this machine reads in a second, all objects together; default: no limit. */
  readonly bytesPerSecond?: number;
  readonly signal: AbortSignal;
  /** Called about once a second; less often where the queue takes long to say. */
  readonly progress?: (progress: BackfillProgress) => void;
}

/** How far the whole work is, all machines together. */
export interface BackfillProgress {
  /** While a machine lists there is no total yet. */
  readonly phase: "listing" | "working";
  readonly done: number;
  readonly total: number;
  readonly bytes: number;
  /** Milliseconds to go at the speed so far; null before there is one. */
  readonly etaMs: number | null;
}

/** What a backfill came to, all machines together. */
export interface BackfillReport {
  /** Objects that are not ours by their names. */
  readonly objects: number;
  /** Which had their file already. */
  readonly known: number;
  /** Which got one now; with `dryRun` or `validateOnly`, which would. */
  readonly adopted: number;
  readonly duplicates: readonly DuplicateObject[];
  readonly failed: readonly FailedObject[];
  /** Bytes that were read; with `dryRun`, that would be. */
  readonly bytes: number;
  /** What of it this machine did. */
  readonly here: BackfillTally;
  /** This machine made the list; else another did, or an earlier run. */
  readonly listedHere: boolean;
}

/** Made by the storage's own web pages to keep an empty folder. */
const PLACEHOLDER = ".emptyFolderPlaceholder";
/** How often the queue is asked how far everything is, and whether there is work again. */
const LOOK_MS = 1000;
/** After a look that took long, so many times as long passes until the next one. */
const LOOK_SHARE = 20;

/**
 * Gives objects that were in the bucket before a hash and a row each. Every object is read once, in a
 * stream; nothing is moved or removed. The objects' names are put on the queue, and every machine that
 * runs the same backfill takes batches from it; it ends, on every machine, when nothing waits and nobody
 * works. What was done is found again by ids that follow from the names, so a run that was killed is
 * simply run again: it goes on with what the queue still has.
 *
 * Rejects with `FILES_INVALID_OWNER` and `FILES_UNKNOWN_PURPOSE`, when the bucket cannot be listed, when the queue is out of reach (for a minute, once work has
 * begun), or with the signal's reason: what this machine had not finished is given back first.
 *
 * An object whose bytes are stored already stays where it is, and its file points at the others: delete
 * that file and the object has no row again, so that a later run would take it in once more.
 */
export async function backfill(
  places: BackfillPlaces,
  options: BackfillOptions,
): Promise<BackfillReport> {
  const { clock, catalog, storage } = places;
  const { purpose = "user_data", validateOnly = false, bytesPerSecond, owner, signal } = options;
  checkWords(owner, purpose);
  const bytesRate = bytesPerSecond === undefined ? null : new Rate(bytesPerSecond, clock);
  const how = { catalog, storage, clock, owner, purpose, validateOnly, bytesRate, signal };
  const adoption = new Adoption(how);
  return options.dryRun === true
    ? lookOnly(places, options, adoption)
    : workOnQueue(places, options, adoption);
}

/** Nobody would ever see files of an owner that no key can name. */
function checkWords(owner: string, purpose: string): void {
  if (!ownerPattern.test(owner)) throw invalidOwner(owner);
  const { purposes } = noneProfile;
  if (!Object.hasOwn(purposes, purpose)) {
    throw unknownPurpose(purpose, "none", Object.keys(purposes));
  }
}

async function workOnQueue(
  { queue, storage, clock }: BackfillPlaces,
  options: BackfillOptions,
  adoption: Adoption,
): Promise<BackfillReport> {
  const { batchSize = 50, concurrency = 4, objectsPerSecond, signal } = options;
  options.progress?.({ phase: "listing", done: 0, total: 0, bytes: 0, etaMs: null });
  const list = (): AsyncIterable<readonly string[]> =>
    inBatches(wanted(storage, options), batchSize);
  const listedHere = await queue.begin(list, signal);
  const rate = objectsPerSecond === undefined ? null : new Rate(objectsPerSecond, clock);
  const pass = async (): Promise<void> => rate?.pass(1, signal);
  const take = (key: string) => pass().then(() => adoption.take(key));
  const machine = new BackfillMachine({ queue, clock, concurrency, take, signal });
  let start: Mark | null = null;
  const tell = async (): Promise<void> => {
    const settled = await queue.state();
    const { total } = settled;
    const unsettled = machine.unsettled;
    const done = Math.min(total, settled.done + unsettled.objects);
    const bytes = settled.bytes + unsettled.bytes;
    const now = { atMs: clock.monotonicMs(), done };
    start ??= now;
    const eta = etaMs(start, now, total);
    options.progress?.({ phase: "working", done, total, bytes, etaMs: eta });
  };
  let quietUntilMs = 0;
  const tick = async (): Promise<void> => {
    const startedMs = clock.monotonicMs();
    if (startedMs < quietUntilMs) return;
    quietUntilMs = Number.POSITIVE_INFINITY;
    // Progress is a courtesy: a queue that cannot be asked is the machine's business.
    await tell().catch(() => undefined);
    const nowMs = clock.monotonicMs();
    // Counting what is done of millions of objects is work for the database, too.
    quietUntilMs = nowMs + LOOK_SHARE * (nowMs - startedMs);
  };
  const ticks = clock.every(LOOK_MS, () => void tick());
  try {
    await tell();
    await machine.run(LOOK_MS);
    await tell();
    const { tallies, failed } = await queue.report();
    const whole = sumUp(tallies);
    const objects = whole.objects + failed.length;
    return { ...whole, objects, failed, here: machine.tally, listedHere };
  } finally {
    ticks.cancel();
  }
}

async function lookOnly(
  { storage }: BackfillPlaces,
  options: BackfillOptions,
  adoption: Adoption,
): Promise<BackfillReport> {
  const { concurrency = 4, signal } = options;
  const objects = wanted(storage, options);
  let tally = emptyTally;
  const worker = async (): Promise<void> => {
    // One generator for all workers: it hands out each object once.
    for (let next = await objects.next(); next.done !== true; next = await objects.next()) {
      signal.throwIfAborted();
      const { key, sizeBytes: bytes } = next.value;
      const found = await adoption.find(key);
      tally = counted(tally, key, found ?? { kind: "adopted", bytes, sameAs: null });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { ...tally, failed: [], here: tally, listedHere: true };
}

async function* wanted(
  storage: ObjectListing,
  { prefix = "", signal }: BackfillOptions,
): AsyncGenerator<ListedObject, void, void> {
  for await (const object of storage.list(prefix, signal)) {
    const { key } = object;
    if (contentIdOfKey(key) === null && !key.endsWith(PLACEHOLDER)) yield object;
  }
}

async function* inBatches(
  objects: AsyncIterable<ListedObject>,
  size: number,
): AsyncGenerator<readonly string[], void, void> {
  let batch: string[] = [];
  for await (const { key } of objects) {
    batch.push(key);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
