import { CodedError } from "../base/errors.ts";

interface Waiter {
  readonly enter: () => void;
}

/** Limits of a {@link ContentLock}. */
export interface ContentLockOptions {
  /** How many calls may wait for one content; default 256. Beyond it they fail with `FILES_BUSY`. */
  readonly waitersMax?: number;
}

/**
 * One call at a time for each content, in the order of asking: storing and removing the same bytes may
 * not overlap within a process. Both file managers get the same lock. Between processes the unique row
 * in `contents` and its foreign key decide instead.
 */
export class ContentLock {
  readonly #waitersMax: number;
  readonly #queues = new Map<string, Set<Waiter>>();

  constructor(options: ContentLockOptions = {}) {
    this.#waitersMax = options.waitersMax ?? 256;
  }

  /** Contents that a call is working on right now. */
  get held(): number {
    return this.#queues.size;
  }

  /**
   * Runs `work` alone for `key`. Rejects with the signal's reason when it aborts during the wait, and
   * with `FILES_BUSY` when too many wait already; the work itself is not interrupted.
   */
  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(key, signal);
    try {
      return await work();
    } finally {
      this.#leave(key);
    }
  }

  #enter(key: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const queue = this.#queues.get(key);
    if (queue === undefined) {
      this.#queues.set(key, new Set());
      return Promise.resolve();
    }
    if (queue.size >= this.#waitersMax) return Promise.reject(busy(this.#waitersMax));
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        queue.delete(waiter);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        enter: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      queue.add(waiter);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  #leave(key: string): void {
    const queue = this.#queues.get(key);
    const [next] = queue ?? [];
    if (queue === undefined || next === undefined) {
      this.#queues.delete(key);
      return;
    }
    queue.delete(next);
    next.enter();
  }
}

function busy(waitersMax: number): CodedError {
  return new CodedError(
    "FILES_BUSY",
    `${waitersMax} calls are already waiting to store or remove these bytes. Try again in 1 s.`,
    {
      status: 503,
      retryable: true,
      retryAfterSeconds: 1,
      details: { waitersMax, effect: "absent" },
    },
  );
}
