import type { Clock } from "../base/clock.ts";
import type { Lease, LeaseHold, LeaseState } from "./ports.ts";
import { within } from "./within.ts";

/** The part of a lease's time in which nothing is begun any more: clocks run apart, and writes take time. */
const marginShare = 0.2;

/**
 * Holds the lease for this process, as long as it can. When it says that it leads, it does so by its own
 * monotonic clock, counted from before the lease was asked for: a process that was frozen finds out
 * by itself, without asking anybody, that its time is over.
 */
export class Leadership {
  readonly #lease: Lease;
  readonly #holder: string;
  readonly #clock: Clock;
  #hold: LeaseHold | null = null;
  #goodUntilMs = Number.NEGATIVE_INFINITY;
  #renewAtMs = Number.NEGATIVE_INFINITY;
  #seen: LeaseState | null = null;

  constructor(lease: Lease, holder: string, clock: Clock) {
    this.#lease = lease;
    this.#holder = holder;
    this.#clock = clock;
  }

  /** The hold under which something may be written now; null: this process does not lead, or not for long. */
  get hold(): LeaseHold | null {
    return this.#clock.monotonicMs() < this.#goodUntilMs ? this.#hold : null;
  }

  /** Who led at the last look; null: nobody did. */
  get leader(): LeaseState | null {
    const hold = this.hold;
    if (hold === null) return this.#seen;
    return { ...hold, expiresInMs: this.#goodUntilMs - this.#clock.monotonicMs() };
  }

  /** Takes the lease where it is free, renews it in good time. Rejects when the store cannot be reached. */
  async keep(): Promise<void> {
    const askedMs = this.#clock.monotonicMs();
    if (this.hold !== null && askedMs < this.#renewAtMs) return;
    const hold = this.hold;
    // A hold that ran out is not renewed but taken anew: under a new epoch, if somebody led meanwhile.
    const kept = hold !== null && (await this.#within(this.#lease.renew(hold)));
    const taken = kept ? hold : await this.#within(this.#lease.take(this.#holder));
    this.#hold = taken;
    this.#seen = null;
    if (taken === null) await this.look();
    const ttl = this.#lease.ttlMs;
    this.#goodUntilMs =
      taken === null ? Number.NEGATIVE_INFINITY : askedMs + ttl * (1 - marginShare);
    this.#renewAtMs = askedMs + ttl / 4;
  }

  /** Looks who leads, without wanting to. */
  async look(): Promise<void> {
    this.#seen = await this.#within(this.#lease.current());
    if (this.#seen !== null && this.#seen.expiresInMs <= 0) this.#seen = null;
  }

  /** Gives the lease up, so that another process may lead at once. Never rejects. */
  async release(): Promise<void> {
    const hold = this.#hold;
    this.#hold = null;
    this.#goodUntilMs = Number.NEGATIVE_INFINITY;
    if (hold !== null) await this.#within(this.#lease.release(hold)).catch(() => undefined);
  }

  #within<T>(work: Promise<T>): Promise<T> {
    return within(this.#clock, this.#lease.ttlMs / 2, "the lease", work);
  }
}
