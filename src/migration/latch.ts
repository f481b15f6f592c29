import { TypedEvent } from "../base/event.ts";
import type { Actor } from "./journal.ts";

/** Why and when a latch tripped; kept over restarts. */
export interface LatchRecord {
  readonly operation: string;
  readonly tripped: boolean;
  /** Grows by one with every trip, and is never reset: it tells one rollback from the next. */
  readonly epoch: number;
  /** When it last changed, ISO 8601. */
  readonly at: string;
  readonly by: Actor;
  readonly reason: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** Port: where latch records survive the process. */
export interface LatchStore {
  /** Every record ever saved, the newest for each operation. */
  load(): Promise<readonly LatchRecord[]>;
  /** Resolves when the record would survive a crash. */
  save(record: LatchRecord): Promise<void>;
  /** What other processes did, once `start` was called; null where no other process can. */
  readonly changes: TypedEvent<LatchRecord> | null;
  start(): void;
  close(): Promise<void>;
}

/** A store that forgets with the process. */
export class MemoryLatchStore implements LatchStore {
  readonly changes = null;
  readonly #records = new Map<string, LatchRecord>();

  load(): Promise<readonly LatchRecord[]> {
    return Promise.resolve([...this.#records.values()]);
  }

  save(record: LatchRecord): Promise<void> {
    this.#records.set(record.operation, record);
    return Promise.resolve();
  }

  start(): void {
    // Nobody else can change what only this process holds.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Why a latch is tripped or re-armed. */
export interface LatchChange {
  readonly by: Actor;
  readonly reason: string;
  readonly evidence?: Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly at: string;
}

/**
 * The kill switch of one operation. Two states:
 *
 *   armed    calls go where the flags say. Left by `trip`.
 *   tripped  every call goes to legacy, whatever the flags say. Left by `rearm` only, which is a
 *            person's act: no timer, success or restart opens a latch.
 *
 * `trip` works in the same tick; keeping the record is the listener's business.
 */
export class Latch {
  readonly operation: string;
  readonly changed: TypedEvent<LatchRecord>;
  /** Read on every call, so a plain field. */
  tripped = false;
  #record: LatchRecord | null = null;

  constructor(operation: string, report: (event: string, error: unknown) => void) {
    this.operation = operation;
    this.changed = new TypedEvent("latch.changed", report);
  }

  /** The last change, or null when it never tripped. */
  get record(): LatchRecord | null {
    return this.#record;
  }

  get epoch(): number {
    return this.#record?.epoch ?? 0;
  }

  /** Takes over what a store remembered, without announcing it. A newer epoch always wins. */
  restore(record: LatchRecord): void {
    if (record.epoch < this.epoch) return;
    this.#record = record;
    this.tripped = record.tripped;
  }

  /** Returns false, and changes nothing, when it is tripped already. */
  trip(change: LatchChange): boolean {
    if (this.tripped) return false;
    this.tripped = true;
    this.#set(change, this.epoch + 1);
    return true;
  }

  /** Returns false, and changes nothing, when it is armed already. */
  rearm(change: LatchChange): boolean {
    if (!this.tripped) return false;
    this.tripped = false;
    this.#set(change, this.epoch);
    return true;
  }

  #set(change: LatchChange, epoch: number): void {
    this.#record = {
      operation: this.operation,
      tripped: this.tripped,
      epoch,
      at: change.at,
      by: change.by,
      reason: change.reason,
      evidence: change.evidence ?? {},
    };
    this.changed.emit(this.#record);
  }
}
