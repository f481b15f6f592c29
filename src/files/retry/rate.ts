import { type Clock, sleep } from "../../base/clock.ts";

/**
 * So much a second, with up to one second's worth at once (a token bucket). Whoever spends more than
 * there is goes into debt and waits it off, so that one large piece is no different from many small ones.
 */
export class Rate {
  readonly #perSecond: number;
  readonly #clock: Clock;
  #left: number;
  #seenMs: number;

  /** Throws `RangeError` unless `perSecond` is above 0. */
  constructor(perSecond: number, clock: Clock) {
    if (!(perSecond > 0)) throw new RangeError(`A rate is above 0, not ${perSecond}.`);
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#left = this.#capacity;
    this.#seenMs = clock.monotonicMs();
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  /** Milliseconds until one could be spent without debt; 0 for now. */
  get readyInMs(): number {
    this.#refill();
    return this.#left >= 1 ? 0 : ((1 - this.#left) / this.#perSecond) * 1000;
  }

  /** Spends `amount` and answers how many milliseconds its debt lasts. */
  spend(amount: number): number {
    this.#refill();
    this.#left -= amount;
    return this.#left >= 0 ? 0 : (-this.#left / this.#perSecond) * 1000;
  }

  /** Spends `amount` and waits its debt off; rejects with the signal's reason when it aborts. */
  async pass(amount: number, signal: AbortSignal): Promise<void> {
    const waitMs = this.spend(amount);
    if (waitMs > 0) await sleep(this.#clock, waitMs, signal, true);
  }

  get #capacity(): number {
    return Math.max(1, this.#perSecond);
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#seenMs) / 1000) * this.#perSecond;
    this.#left = Math.min(this.#capacity, this.#left + gained);
    this.#seenMs = nowMs;
  }
}
