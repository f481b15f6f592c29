import pLimit, { type LimitFunction } from "p-limit";
import { CodedError } from "../../base/errors.ts";

/** Limits of an {@link Admission}. */
export interface AdmissionOptions {
  /** How many run at once. */
  readonly running: number;
  /** How many may wait; beyond it a call fails with `FILES_BUSY`. */
  readonly waitingMax: number;
}

/** What goes on at an {@link Admission}. */
export interface AdmissionUse {
  readonly running: number;
  readonly waiting: number;
}

/** So many at once, in the order of asking; waiting ends with the caller's patience. */
export class Admission {
  readonly #limit: LimitFunction;
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#limit = pLimit(options.running);
    this.#options = options;
  }

  /** How many run and wait right now. */
  get use(): AdmissionUse {
    return { running: this.#limit.activeCount, waiting: this.#limit.pendingCount };
  }

  /**
   * Runs `work` when it is its turn. An abort during the wait rejects at once with the signal's reason,
   * and the work is never started; running work has to watch the signal itself.
   */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { waitingMax, running } = this.#options;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#limit.pendingCount >= waitingMax) return Promise.reject(busy(running, waitingMax));
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      const turn = async (): Promise<void> => {
        signal.removeEventListener("abort", onAbort);
        if (signal.aborted) return;
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
        }
      };
      void this.#limit(turn);
    });
  }
}

function busy(running: number, waitingMax: number): CodedError {
  return new CodedError(
    "FILES_BUSY",
    `${running} uploads are running and ${waitingMax} are waiting. Try again in 1 s.`,
    {
      status: 503,
      retryable: true,
      retryAfterSeconds: 1,
      details: { running, waitingMax, effect: "absent" },
    },
  );
}
