import type { Clock } from "../base/clock.ts";
import {
  type Lease,
  type LeaseHold,
  type LeaseState,
  type RolloutRecord,
  type RolloutStore,
  rolloutConflict,
} from "./ports.ts";

/** Default of `Lease.ttlMs`. */
export const leaseTtlMs = 5000;

/** A lease for those who share this object; its time is that of the clock it is given. */
export class MemoryLease implements Lease {
  readonly ttlMs: number;
  readonly #clock: Clock;
  #epoch = 0;
  #held: { readonly holder: string; expiresMs: number } | null = null;

  constructor(clock: Clock, ttlMs: number = leaseTtlMs) {
    this.#clock = clock;
    this.ttlMs = ttlMs;
  }

  take(holder: string): Promise<LeaseHold | null> {
    const nowMs = this.#clock.monotonicMs();
    const held = this.#held;
    const live = held !== null && held.expiresMs > nowMs;
    if (live && held.holder !== holder) return Promise.resolve(null);
    if (!live) this.#epoch += 1;
    this.#held = { holder, expiresMs: nowMs + this.ttlMs };
    return Promise.resolve({ epoch: this.#epoch, holder });
  }

  renew(hold: LeaseHold): Promise<boolean> {
    if (!this.isHeldBy(hold) || this.#held === null) return Promise.resolve(false);
    this.#held.expiresMs = this.#clock.monotonicMs() + this.ttlMs;
    return Promise.resolve(true);
  }

  release(hold: LeaseHold): Promise<void> {
    if (this.isHeldBy(hold)) this.#held = null;
    return Promise.resolve();
  }

  current(): Promise<LeaseState | null> {
    if (this.#held === null) return Promise.resolve(null);
    const { holder, expiresMs } = this.#held;
    const expiresInMs = expiresMs - this.#clock.monotonicMs();
    return Promise.resolve({ epoch: this.#epoch, holder, expiresInMs });
  }

  /** For a store in the same memory: is this hold good for a write now? */
  isHeldBy({ epoch, holder }: LeaseHold): boolean {
    const held = this.#held;
    if (held === null || held.holder !== holder || this.#epoch !== epoch) return false;
    return held.expiresMs > this.#clock.monotonicMs();
  }
}

/** A store that forgets with the process. */
export class MemoryRolloutStore implements RolloutStore {
  readonly #lease: Pick<MemoryLease, "isHeldBy">;
  readonly #records = new Map<string, RolloutRecord>();

  constructor(lease: Pick<MemoryLease, "isHeldBy">) {
    this.#lease = lease;
  }

  load(): Promise<readonly RolloutRecord[]> {
    return Promise.resolve([...this.#records.values()]);
  }

  read(operation: string): Promise<RolloutRecord | null> {
    return Promise.resolve(this.#records.get(operation) ?? null);
  }

  save(record: RolloutRecord, hold: LeaseHold | null): Promise<RolloutRecord> {
    const stored = this.#records.get(record.operation)?.revision ?? 0;
    const fenced = hold !== null && !this.#lease.isHeldBy(hold);
    if (stored !== record.revision || fenced) {
      return Promise.reject(rolloutConflict(record.operation));
    }
    const written = { ...record, revision: record.revision + 1 };
    this.#records.set(record.operation, written);
    return Promise.resolve(written);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
