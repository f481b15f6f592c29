import { CodedError } from "../../base/errors.ts";
import type { BackfillQueue, QueuedBatch, QueueReport, QueueState, SettledBatch } from "./queue.ts";
import type { BackfillTally, FailedObject } from "./tally.ts";

/** Limits of the queue of one process. */
export interface MemoryQueueLimits {
  /** Keys that are kept in memory; default 5,000,000, about half a gigabyte. */
  readonly keysMax?: number;
  /** Tries of an object; default 3. */
  readonly triesMax?: number;
}

/** The work of one process alone: nothing of it outlives the process, and nothing has to. */
export class MemoryQueue implements BackfillQueue {
  readonly #keysMax: number;
  readonly #triesMax: number;
  readonly #waiting: QueuedBatch[] = [];
  readonly #taken = new Set<string>();
  readonly #tries = new Map<string, number>();
  readonly #tallies: BackfillTally[] = [];
  readonly #failed: FailedObject[] = [];
  #total = 0;
  #done = 0;
  #bytes = 0;
  #lastId = 0;
  #next = 0;
  #listing: Promise<void> | null = null;

  constructor({ keysMax = 5_000_000, triesMax = 3 }: MemoryQueueLimits = {}) {
    this.#keysMax = keysMax;
    this.#triesMax = triesMax;
  }

  /** Rejects with `FILES_BACKFILL_TOO_LARGE`. */
  async begin(list: () => AsyncIterable<readonly string[]>, signal: AbortSignal): Promise<boolean> {
    const isFirst = this.#listing === null;
    this.#listing ??= this.#list(list(), signal);
    await this.#listing;
    return isFirst;
  }

  async #list(batches: AsyncIterable<readonly string[]>, signal: AbortSignal): Promise<void> {
    for await (const keys of batches) {
      signal.throwIfAborted();
      this.#total += keys.length;
      if (this.#total > this.#keysMax) {
        throw new CodedError(
          "FILES_BACKFILL_TOO_LARGE",
          `There are more than ${this.#keysMax} objects, the most that one process keeps in mind. Set CHANGEOVER_POSTGRES_URL to work on a queue, or take one folder at a time with --prefix.`,
          { status: 507, details: { keysMax: this.#keysMax } },
        );
      }
      this.#add(keys);
    }
  }

  take(): Promise<QueuedBatch | null> {
    const batch = this.#waiting[this.#next];
    if (batch === undefined) return Promise.resolve(null);
    this.#next += 1;
    this.#taken.add(batch.id);
    return Promise.resolve(batch);
  }

  settle(batch: QueuedBatch, { tally, failed, unfinished }: SettledBatch): Promise<boolean> {
    if (!this.#taken.delete(batch.id)) return Promise.resolve(false);
    this.#tallies.push(tally);
    this.#done += tally.objects;
    this.#bytes += tally.bytes;
    for (const failure of failed) {
      const tries = (this.#tries.get(failure.key) ?? 0) + 1;
      this.#tries.set(failure.key, tries);
      if (tries < this.#triesMax) this.#add([failure.key]);
      else this.#failed.push(failure);
    }
    if (unfinished.length > 0) this.#add(unfinished);
    return Promise.resolve(true);
  }

  state(): Promise<QueueState> {
    const done = this.#done + this.#failed.length;
    const left = this.#waiting.length - this.#next + this.#taken.size;
    return Promise.resolve({ total: this.#total, done, bytes: this.#bytes, left });
  }

  report(): Promise<QueueReport> {
    return Promise.resolve({ tallies: [...this.#tallies], failed: [...this.#failed] });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #add(keys: readonly string[]): void {
    this.#lastId += 1;
    this.#waiting.push({ id: String(this.#lastId), keys });
  }
}
