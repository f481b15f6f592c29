import type { Clock, Timer } from "../../../base/clock.ts";
import type { Random } from "../../../base/random.ts";
import type { ErrorProvider } from "../../provider-errors.ts";
import { Rate } from "../../retry/rate.ts";
import { fullPace, type Pace, type PaceOptions, paceAfter } from "./pace.ts";
import { providerBusy } from "./queue-refusal.ts";

/** Uploads may take minutes; a removal or a look-up does not wait behind them. */
export type Lane = "uploads" | "requests";

/** Limits of a {@link Gate}. */
export interface GateOptions {
  readonly provider: ErrorProvider;
  /** Uploads at once. */
  readonly uploads: number;
  /** Other requests at once. */
  readonly requests: number;
  /** Requests of both kinds in a second; null: no limit of ours. */
  readonly requestsPerSecond: number | null;
  /** How many may wait, in each lane. */
  readonly waitingMax: number;
  /** How long one waits at most, in milliseconds. */
  readonly waitMs: number;
  readonly pace: Omit<PaceOptions, "maxLimit">;
}

/** What is going on at a gate. */
export interface GateState {
  readonly running: Readonly<Record<Lane, number>>;
  readonly waiting: Readonly<Record<Lane, number>>;
  /** Uploads that may run at once right now; below the configured number after a 429. */
  readonly limit: number;
  /** Milliseconds for which nothing is sent. */
  readonly pausedMs: number;
}

interface Waiter {
  readonly lane: Lane;
  readonly admit: () => void;
}

/**
 * Decides when a request to a provider may start: so many at once, so many a second, in the order of
 * asking, and slower for everybody once the provider says 429.
 */
export class Gate {
  readonly #options: GateOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #rate: Rate | null;
  readonly #running: Record<Lane, number> = { uploads: 0, requests: 0 };
  readonly #waiting: Record<Lane, Set<Waiter>> = { uploads: new Set(), requests: new Set() };
  #pace: Pace;
  #wake: Timer | undefined;

  constructor(options: GateOptions, clock: Clock, random: Random) {
    const { requestsPerSecond } = options;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#rate = requestsPerSecond === null ? null : new Rate(requestsPerSecond, clock);
    this.#pace = fullPace(this.#paceOptions);
  }

  /**
   * Runs `work` when it is its turn. Rejects with `FILES_BUSY` when too many wait already or it takes
   * too long, and with the signal's reason when that aborts; `work` is never started then.
   */
  async run<T>(lane: Lane, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    await this.#enter(lane, signal);
    try {
      return await work();
    } finally {
      this.#running[lane] -= 1;
      this.#admitNext();
    }
  }

  /** A request succeeded: the pace may climb. */
  succeeded(): void {
    const atMs = this.#clock.monotonicMs();
    this.#pace = paceAfter(this.#pace, { kind: "succeeded", atMs }, this.#paceOptions);
    this.#admitNext();
  }

  /** The provider asks to slow down; `retryAfterSeconds` as it said. */
  throttled(retryAfterSeconds: number | undefined): void {
    const event = {
      kind: "throttled",
      atMs: this.#clock.monotonicMs(),
      retryAfterMs: (retryAfterSeconds ?? 0) * 1000,
      random: this.#random.next(),
    } as const;
    this.#pace = paceAfter(this.#pace, event, this.#paceOptions);
  }

  get state(): GateState {
    const { uploads, requests } = this.#waiting;
    return {
      running: { ...this.#running },
      waiting: { uploads: uploads.size, requests: requests.size },
      limit: this.#limitOf("uploads"),
      pausedMs: Math.max(0, Math.ceil(this.#pace.pausedUntilMs - this.#clock.monotonicMs())),
    };
  }

  #enter(lane: Lane, signal: AbortSignal): Promise<void> {
    const queue = this.#waiting[lane];
    if (queue.size === 0 && this.#delayMs(lane) === 0) {
      this.#start(lane);
      return Promise.resolve();
    }
    if (queue.size >= this.#options.waitingMax) return Promise.reject(this.#busy(lane, "queue"));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", onAbort);
      queue.delete(waiter);
    };
    const onAbort = (): void => {
      leave();
      reject(signal.reason);
      this.#admitNext();
    };
    const giveUp = (): void => {
      leave();
      reject(this.#busy(lane, "wait"));
    };
    // Keeps the process alive: the pause of a provider that nobody else waits for must not end it.
    const timer = this.#clock.after(this.#options.waitMs, giveUp, true);
    const waiter: Waiter = {
      lane,
      admit: () => {
        leave();
        this.#start(lane);
        resolve();
      },
    };
    queue.add(waiter);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#admitNext();
    return promise;
  }

  #start(lane: Lane): void {
    this.#running[lane] += 1;
    this.#rate?.spend(1);
  }

  #admitNext(): void {
    this.#wake?.cancel();
    let wakeMs = Number.POSITIVE_INFINITY;
    for (const lane of ["requests", "uploads"] as const) {
      for (const waiter of this.#waiting[lane]) {
        const delayMs = this.#delayMs(lane);
        if (delayMs === 0) {
          waiter.admit();
          continue;
        }
        wakeMs = Math.min(wakeMs, delayMs);
        break;
      }
    }
    // Without a time to wake at, the end of a running request admits the next one.
    if (Number.isFinite(wakeMs)) {
      this.#wake = this.#clock.after(Math.ceil(wakeMs), () => this.#admitNext());
    }
  }

  /** Milliseconds until a request of this lane may start: 0 for now, infinite for when one has ended. */
  #delayMs(lane: Lane): number {
    if (this.#running[lane] >= this.#limitOf(lane)) return Number.POSITIVE_INFINITY;
    const pausedMs = this.#pace.pausedUntilMs - this.#clock.monotonicMs();
    return Math.max(0, pausedMs, this.#rate?.readyInMs ?? 0);
  }

  #limitOf(lane: Lane): number {
    return Math.min(this.#options[lane], this.#pace.limit);
  }

  get #paceOptions(): PaceOptions {
    const { uploads, requests, pace } = this.#options;
    return { ...pace, maxLimit: Math.max(uploads, requests) };
  }

  #busy(lane: Lane, why: "queue" | "wait"): Error {
    const { provider, waitingMax, waitMs } = this.#options;
    return providerBusy({
      provider,
      what: lane,
      running: this.#running[lane],
      waiting: this.#waiting[lane].size,
      limit: why === "queue" ? waitingMax : waitMs,
      why,
    });
  }
}
