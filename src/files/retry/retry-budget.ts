import type { Clock } from "../../base/clock.ts";

/** Limits of a {@link RetryBudget}. */
export interface RetryBudgetOptions {
  /** Retries that may be made in a row; default 10. */
  readonly capacity?: number;
  /** What one success gives back, in retries; default 0.2: one retry for five successes. */
  readonly perSuccess?: number;
  /** What a second gives back, in retries; default 0.2, so that an outage does not end retrying for good. */
  readonly perSecond?: number;
}

/**
 * Retries in proportion to what succeeds: when everything fails, trying again only adds load, and the
 * budget is soon empty. One for each service that is called.
 */
export class RetryBudget {
  readonly #capacity: number;
  readonly #perSuccess: number;
  readonly #perSecond: number;
  readonly #clock: Clock;
  #left: number;
  #seenMs: number;

  constructor(clock: Clock, options: RetryBudgetOptions = {}) {
    const { capacity = 10, perSuccess = 0.2, perSecond = 0.2 } = options;
    this.#capacity = capacity;
    this.#perSuccess = perSuccess;
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#left = capacity;
    this.#seenMs = clock.monotonicMs();
  }

  /** Retries that could be made right now. */
  get left(): number {
    this.#refill();
    return this.#left;
  }

  /** Takes one retry; false when there is none. */
  take(): boolean {
    this.#refill();
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  succeeded(): void {
    this.#add(this.#perSuccess);
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#add(((nowMs - this.#seenMs) / 1000) * this.#perSecond);
    this.#seenMs = nowMs;
  }

  #add(retries: number): void {
    this.#left = Math.min(this.#capacity, this.#left + retries);
  }
}
