import type { Clock } from "../../base/clock.ts";
import { codeOf, isCodedError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { type Random, systemRandom } from "../../base/random.ts";
import { RetryBudget, type RetryBudgetOptions } from "./retry-budget.ts";
import { isRetryable, type RetryPolicy } from "./retry-policy.ts";
import { retrying } from "./retrying.ts";

/** What {@link BackendRetries} needs. */
export interface BackendRetriesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random;
  /** Differences from {@link backendRetryPolicy}. */
  readonly policy?: Partial<RetryPolicy>;
  readonly budget?: RetryBudgetOptions;
}

/**
 * Shorter than for providers: rows and objects are in front of a caller who waits, and legacy may still
 * answer a read. Three attempts, at most 5 s from the first to the start of the last.
 */
export const backendRetryPolicy: RetryPolicy = {
  attempts: 3,
  baseDelayMs: 100,
  maxDelayMs: 1000,
  maxRetryAfterMs: 5000,
  maxTotalMs: 5000,
};

/**
 * Repeats requests to Supabase that failed in passing, within one budget for all of them: while the
 * backend is down nearly nothing is repeated, so that it is not held down by us.
 */
export class BackendRetries {
  readonly #options: BackendRetriesOptions;
  readonly #random: Random;
  readonly #budget: RetryBudget;
  #made = 0;

  constructor(options: BackendRetriesOptions) {
    this.#options = options;
    this.#random = options.random ?? systemRandom;
    this.#budget = new RetryBudget(options.clock, options.budget);
  }

  /** Retries made so far. */
  get made(): number {
    return this.#made;
  }

  /** For requests that come to the same however often they are made: reads, and writes by key. */
  idempotent<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#run(signal, work, isRetryable);
  }

  /** For the others: repeated only when it is known that nothing of the request was sent. */
  unsent<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#run(signal, work, (error) => isRetryable(error) && isAbsent(error));
  }

  #run<T>(
    signal: AbortSignal,
    work: () => Promise<T>,
    isTransient: (error: unknown) => boolean,
  ): Promise<T> {
    const { clock, logger, policy } = this.#options;
    return retrying(work, {
      clock,
      random: this.#random,
      signal,
      budget: this.#budget,
      policy: { ...backendRetryPolicy, ...policy },
      isTransient,
      onRetry: ({ attempt, delayMs, error }) => {
        this.#made += 1;
        const fields = { attempt, delayMs: Math.round(delayMs), code: codeOf(error) };
        logger.info(fields, "A request to the backend is tried again");
      },
    });
  }
}

function isAbsent(error: unknown): boolean {
  return isCodedError(error) && error.details["effect"] === "absent";
}
