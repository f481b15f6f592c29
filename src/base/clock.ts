/** A pending timer; cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * The only reader of time in the product: everything that waits or measures receives a clock, so that
 * tests can move time by hand (see `ManualClock`).
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch; for records, never for measuring. */
  now(): number;
  /** Monotonic time in milliseconds with a fraction; only differences mean anything. */
  monotonicMs(): number;
  /**
   * Calls `fn` once after `ms` milliseconds. The timer does not keep the process alive, unless
   * `keepAlive` is true: for a wait that somebody's answer depends on.
   */
  after(ms: number, fn: () => void, keepAlive?: boolean): Timer;
  /** Calls `fn` every `ms` milliseconds until cancelled. The timer does not keep the process alive. */
  every(ms: number, fn: () => void): Timer;
}

class SystemTimer implements Timer {
  readonly #handle: NodeJS.Timeout;

  constructor(handle: NodeJS.Timeout, keepAlive = false) {
    this.#handle = handle;
    if (!keepAlive) handle.unref();
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (ms, fn, keepAlive) => new SystemTimer(setTimeout(fn, ms), keepAlive),
  every: (ms, fn) => new SystemTimer(setInterval(fn, ms)),
};

/** How far both clocks may run apart unnoticed, in milliseconds of the monotonic one. */
const comparedEveryMs = 1000;

/**
 * Tells the wall-clock time of a monotonic moment without reading the wall clock each time, which costs
 * as much as everything else that is done for a short call. The clocks are compared once a second.
 */
export class WallTime {
  readonly #clock: Clock;
  #comparedMs = Number.NaN;
  #aheadMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whole milliseconds since the Unix epoch, of a moment of `clock.monotonicMs()`. */
  of(monotonicMs: number): number {
    if (!(Math.abs(monotonicMs - this.#comparedMs) < comparedEveryMs)) {
      this.#comparedMs = this.#clock.monotonicMs();
      this.#aheadMs = this.#clock.now() - this.#comparedMs;
    }
    return Math.round(monotonicMs + this.#aheadMs);
  }
}

/**
 * Waits `ms` milliseconds on `clock`. With a signal, rejects with its reason as soon as it aborts.
 * The wait does not keep the process alive by itself, unless `keepAlive` is true.
 */
export function sleep(
  clock: Clock,
  ms: number,
  signal?: AbortSignal,
  keepAlive = false,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const done = (): void => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    };
    const timer = clock.after(ms, done, keepAlive);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
