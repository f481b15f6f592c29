import type { Clock, Timer } from "../../base/clock.ts";
import { TimeIsOver } from "./time-limit.ts";

/** Limits of a {@link PutWatch}, in milliseconds. */
export interface PutLimits {
  /** Without a byte taken by the receiver. */
  readonly idleMs: number;
  /** Given to the answer when the caller gives up after the last byte was handed over. */
  readonly settleMs: number;
}

/**
 * Decides when an upload is cut off. While bytes are missing: at once when the caller gives up, or when
 * nothing has moved for a while (a limit on standstill and not on the whole, because a large file on a
 * slow link may take as long as it moves). Once all bytes are on their way the receiver may store them
 * whatever we do, so its answer is waited for: what is removed before it was stored would stay.
 */
export class PutWatch {
  readonly #clock: Clock;
  readonly #limits: PutLimits;
  readonly #caller: AbortSignal;
  readonly #controller = new AbortController();
  readonly #idle: Timer;
  #settling: Timer | undefined;
  #movedAtMs: number;
  #isWhole = false;

  constructor(clock: Clock, limits: PutLimits, caller: AbortSignal) {
    this.#clock = clock;
    this.#limits = limits;
    this.#caller = caller;
    this.#movedAtMs = clock.monotonicMs();
    // At most a quarter late.
    this.#idle = clock.every(Math.max(1, Math.floor(limits.idleMs / 4)), () => this.#look());
    if (caller.aborted) this.#controller.abort(caller.reason);
    else caller.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Aborts the request. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The receiver took bytes. */
  moved(): void {
    this.#movedAtMs = this.#clock.monotonicMs();
  }

  /** The last bytes are about to be handed over. */
  lastBytes(): void {
    this.#isWhole = true;
  }

  /** All bytes were taken: from here on the limit is the transport's own, for the answer. */
  sent(): void {
    this.#idle.cancel();
  }

  /** The request is over. */
  stop(): void {
    this.#idle.cancel();
    this.#settling?.cancel();
    this.#caller.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => {
    const cut = (): void => this.#controller.abort(this.#caller.reason);
    if (this.#isWhole) this.#settling = this.#clock.after(this.#limits.settleMs, cut);
    else cut();
  };

  #look(): void {
    if (this.#clock.monotonicMs() - this.#movedAtMs < this.#limits.idleMs) return;
    this.#idle.cancel();
    this.#controller.abort(new TimeIsOver(this.#limits.idleMs));
  }
}
