import { readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import {
  makeFolder,
  readIfThere,
  replaceFile,
  syncFolder,
  withFileLock,
} from "../base/atomic-file.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";
import { TypedEvent } from "../base/event.ts";
import type { LatchRecord, LatchStore } from "../migration/latch.ts";

/** Where latches are kept. */
export interface FileLatchStoreOptions {
  /** The data folder; created where missing. */
  readonly folder: string;
  readonly clock: Clock;
  /** Where problems are reported that no caller waits for. */
  readonly report: (part: string, error: unknown) => void;
  /** Milliseconds between two looks for other processes' changes; default 500. */
  readonly pollMs?: number;
}

const file = "latches.json";
const aside = /^latches\.unreadable-.*\.json$/;

const recordSchema = v.object({
  operation: v.string(),
  tripped: v.boolean(),
  epoch: v.pipe(v.number(), v.integer(), v.minValue(0)),
  at: v.pipe(v.string(), v.isoTimestamp()),
  by: v.object({ type: v.picklist(["person", "rule", "system"]), name: v.string() }),
  reason: v.string(),
  evidence: v.record(v.string(), v.unknown()),
});
const fileSchema = v.object({ version: v.literal(1), records: v.array(recordSchema) });

/**
 * Latches in one file that is replaced as a whole, under a lock: several processes on one machine may
 * share it. For each operation the highest epoch wins, then the later change; a trip is never lost to
 * an older state.
 *
 * A file that cannot be understood may hide a tripped latch. It is put aside as
 * `latches.unreadable-<when>.json`, and `load` throws `DISK_LATCH_UNREADABLE` until a person has removed
 * that file: the caller must then keep every operation on legacy. `save` goes on working.
 */
export class FileLatchStore implements LatchStore {
  /** Another process tripped or re-armed a latch; seen within a poll. Needs `start`. */
  readonly changes: TypedEvent<LatchRecord>;
  readonly #options: FileLatchStoreOptions;
  readonly #path: string;
  readonly #known = new Map<string, LatchRecord>();
  #stamp = "";
  #queue: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #polling: Promise<void> | undefined;
  #reported = false;

  constructor(options: FileLatchStoreOptions) {
    this.#options = options;
    this.#path = join(options.folder, file);
    this.changes = new TypedEvent("latch-store.changes", options.report);
  }

  /** Throws `DISK_LATCH_UNREADABLE`: treat every latch as tripped then. */
  async load(): Promise<readonly LatchRecord[]> {
    const records = await this.#serially(async () => {
      const stamp = await this.#stampOf();
      const read = await this.#read();
      this.#stamp = stamp;
      return read;
    });
    for (const record of records) this.#known.set(record.operation, record);
    await this.#refuseWhileAside();
    return records;
  }

  save(record: LatchRecord): Promise<void> {
    return this.#serially(async () => {
      const { folder, clock } = this.#options;
      await makeFolder(folder);
      const kept = await withFileLock(join(folder, "latches"), clock, async () => {
        const records = await this.#readOrPutAside();
        const before = records.find((each) => each.operation === record.operation);
        const winner = before === undefined ? record : merge(before, record);
        const others = records.filter((each) => each.operation !== record.operation);
        const text = JSON.stringify({ version: 1, records: [...others, winner] }, null, 2);
        await replaceFile(this.#path, `${text}\n`);
        return winner;
      });
      this.#known.set(kept.operation, kept);
      if (!isSame(kept, record)) this.changes.emit(kept);
    });
  }

  /** Starts to look for other processes' changes. Each is announced once, those before the start not. */
  start(): void {
    this.#timer ??= this.#options.clock.every(this.#options.pollMs ?? 500, () => {
      this.#polling ??= this.poll().finally(() => {
        this.#polling = undefined;
      });
    });
  }

  /** Looks once; never rejects. */
  async poll(): Promise<void> {
    try {
      await this.#serially(() => this.#lookForChanges());
      await this.#refuseWhileAside();
      this.#reported = false;
    } catch (error) {
      // Once for each time it breaks: the same line twice a second would hide everything else.
      if (!this.#reported) this.#options.report("latch-store", error);
      this.#reported = true;
    }
  }

  /** Stops looking, and waits for what is being written. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#polling;
    await this.#queue;
  }

  async #lookForChanges(): Promise<void> {
    const stamp = await this.#stampOf();
    if (stamp === this.#stamp) return;
    const records = await this.#read();
    this.#stamp = stamp;
    for (const record of records) {
      const known = this.#known.get(record.operation);
      if (known !== undefined && isSame(known, record)) continue;
      this.#known.set(record.operation, record);
      this.changes.emit(record);
    }
  }

  /** Whatever changes when the file is replaced. */
  async #stampOf(): Promise<string> {
    try {
      const { ino, mtimeMs, size } = await stat(this.#path);
      return `${ino} ${mtimeMs} ${size}`;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return "";
      throw error;
    }
  }

  async #read(): Promise<readonly LatchRecord[]> {
    const records = parse(await readIfThere(this.#path));
    if (records !== null) return records;
    const { folder, clock } = this.#options;
    return withFileLock(join(folder, "latches"), clock, () => this.#readOrPutAside());
  }

  /** Under the lock: what the file says; a file that says nothing is put aside, and counts as empty. */
  async #readOrPutAside(): Promise<readonly LatchRecord[]> {
    const records = parse(await readIfThere(this.#path));
    if (records !== null) return records;
    const { folder, clock, report } = this.#options;
    const when = new Date(clock.now()).toISOString().replace(/[-:.]/g, "");
    const name = `latches.unreadable-${when}-${process.pid}.json`;
    await rename(this.#path, join(folder, name));
    await syncFolder(folder);
    report("latch-store", unreadable(join(folder, name)));
    return [];
  }

  async #refuseWhileAside(): Promise<void> {
    const { folder } = this.#options;
    const names = await readdir(folder).catch(() => []);
    const found = names.find((name) => aside.test(name));
    if (found !== undefined) throw unreadable(join(folder, found));
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function parse(text: string | null): readonly LatchRecord[] | null {
  if (text === null) return [];
  try {
    const parsed = v.safeParse(fileSchema, JSON.parse(text));
    return parsed.success ? parsed.output.records : null;
  } catch {
    return null;
  }
}

/** Which of two records of one operation holds. */
function merge(before: LatchRecord, after: LatchRecord): LatchRecord {
  const later = Date.parse(after.at) >= Date.parse(before.at);
  if (after.epoch > before.epoch) return after;
  if (after.epoch === before.epoch) return later ? after : before;
  // A process that missed an epoch trips: that is news, under the next epoch.
  const missed = after.tripped && !before.tripped && later;
  return missed ? { ...after, epoch: before.epoch + 1 } : before;
}

const isSame = (a: LatchRecord, b: LatchRecord): boolean =>
  a.epoch === b.epoch && a.tripped === b.tripped && a.at === b.at;

const unreadable = (path: string): CodedError =>
  new CodedError(
    "DISK_LATCH_UNREADABLE",
    `The file of tripped latches could not be understood and was put aside as ${path}. Every operation stays on legacy. Look at it, roll back or re-arm what it says, then remove it.`,
    { status: 503, details: { path } },
  );
