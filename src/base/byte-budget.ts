import type { Clock, Timer } from "./clock.ts";
import { CodedError } from "./errors.ts";

/** Room that was granted; give it back exactly once (later calls do nothing). */
export type Release = () => void;

interface Waiter {
  readonly bytes: number;
  readonly grant: (release: Release) => void;
  readonly refuse: (error: unknown) => void;
}

/** Limits of a {@link ByteBudget}. */
export interface ByteBudgetOptions {
  /** Names the budget in error messages. */
  readonly name: string;
  /** How many bytes may be claimed at once. */
  readonly limitBytes: number;
  /** How many claims may wait. */
  readonly queueMax: number;
  /** How long a claim waits at most, in milliseconds. */
  readonly waitMs: number;
}

/**
 * Bounded admission by size, first come first served. A claim larger than the whole limit is admitted
 * alone rather than never. Beyond the queue or the wait it fails with `MIGRATION_OVERLOADED`
 * (retryable, with a retry time).
 */
export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  readonly #clock: Clock;
  readonly #queue = new Set<Waiter>();
  #claimedBytes = 0;

  constructor(options: ByteBudgetOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Bytes claimed and not yet given back. */
  get claimedBytes(): number {
    return this.#claimedBytes;
  }

  /** Bytes that may be claimed at once. */
  get limitBytes(): number {
    return this.#options.limitBytes;
  }

  /** Claims that are waiting for room. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Would a claim of `bytes` be admitted at once? */
  hasRoom(bytes: number): boolean {
    if (this.#queue.size > 0) return false;
    return this.#claimedBytes === 0 || this.#claimedBytes + bytes <= this.#options.limitBytes;
  }

  /** Takes room at once, or returns null. */
  tryClaim(bytes: number): Release | null {
    return this.hasRoom(bytes) ? this.#take(bytes) : null;
  }

  /** Takes room, waiting for it where needed; rejects with the signal's reason when it aborts. */
  claim(bytes: number, signal?: AbortSignal): Promise<Release> {
    const release = this.tryClaim(bytes);
    if (release !== null) return Promise.resolve(release);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#queue.size >= this.#options.queueMax)
      return Promise.reject(this.#overloaded("queue"));
    return this.#wait(bytes, signal);
  }

  #wait(bytes: number, signal: AbortSignal | undefined): Promise<Release> {
    const { promise, resolve, reject } = Promise.withResolvers<Release>();
    let timer: Timer | undefined;
    const leave = (): void => {
      timer?.cancel();
      signal?.removeEventListener("abort", onAbort);
      this.#queue.delete(waiter);
    };
    const waiter: Waiter = {
      bytes,
      grant: (release) => {
        leave();
        resolve(release);
      },
      refuse: (error) => {
        leave();
        reject(error);
        this.#admit();
      },
    };
    const onAbort = (): void => waiter.refuse(signal?.reason);
    this.#queue.add(waiter);
    signal?.addEventListener("abort", onAbort, { once: true });
    timer = this.#clock.after(this.#options.waitMs, () => waiter.refuse(this.#overloaded("wait")));
    return promise;
  }

  #take(bytes: number): Release {
    this.#claimedBytes += bytes;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#claimedBytes -= bytes;
      this.#admit();
    };
  }

  #admit(): void {
    for (const waiter of this.#queue) {
      const fits = this.#claimedBytes + waiter.bytes <= this.#options.limitBytes;
      if (this.#claimedBytes > 0 && !fits) return;
      this.#queue.delete(waiter);
      waiter.grant(this.#take(waiter.bytes));
    }
  }

  #overloaded(what: "queue" | "wait"): CodedError {
    const { name, limitBytes, queueMax, waitMs } = this.#options;
    const why =
      what === "queue"
        ? `${queueMax} calls are already waiting`
        : `no room came free in ${waitMs} ms`;
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
    return new CodedError(
      "MIGRATION_OVERLOADED",
      `The ${name} budget of ${limitBytes} bytes is full and ${why}. Try again in ${retryAfterSeconds} s.`,
      {
        retryable: true,
        status: 503,
        retryAfterSeconds,
        details: { limitBytes, queueMax, waitMs },
      },
    );
  }
}
