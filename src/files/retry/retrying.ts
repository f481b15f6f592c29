import pRetry from "p-retry";
import { type Clock, sleep } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { decideRetry, defaultRetryPolicy, isRetryable, type RetryPolicy } from "./retry-policy.ts";

/** A failed attempt after which another will be made. */
export interface Retry {
  /** The attempt that failed; 1 for the first. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly error: unknown;
}

/** How to retry. */
export interface RetryingOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the waiting between attempts; an attempt itself has to watch it too. */
  readonly signal: AbortSignal;
  /** What is left out has its default. */
  readonly policy?: Partial<RetryPolicy>;
  /** Shared by all calls of one service; without one only the policy bounds the retries. */
  readonly budget?: RetryBudget;
  /** Which errors may pass by themselves; default: coded errors that are `retryable`. */
  readonly isTransient?: (error: unknown) => boolean;
  /** Told before each wait. */
  readonly onRetry?: (retry: Retry) => void;
}

/**
 * Runs `attempt` until it succeeds, fails for good, or policy or budget are used up; then throws what
 * the last attempt threw, or the signal's reason when it aborted during a wait. A success is returned
 * also when the signal has aborted meanwhile: what was done must not get lost.
 */
export async function retrying<T>(
  attempt: (number: number) => Promise<T>,
  options: RetryingOptions,
): Promise<T> {
  const { clock, random, signal, budget, onRetry, isTransient = isRetryable } = options;
  const policy = { ...defaultRetryPolicy, ...options.policy };
  const startedMs = clock.monotonicMs();
  let thrown: unknown;
  const goOn = async (number: number): Promise<boolean> => {
    const failed = {
      attempt: number,
      elapsedMs: clock.monotonicMs() - startedMs,
      error: thrown,
      isTransient: isTransient(thrown),
      isAborted: signal.aborted,
    };
    const decision = decideRetry(policy, failed, random.next());
    if (!decision.retry || budget?.take() === false) return false;
    onRetry?.({ attempt: number, delayMs: decision.delayMs, error: thrown });
    await sleep(clock, decision.delayMs, signal, true).catch((reason: unknown) => {
      thrown = reason;
      throw reason;
    });
    return true;
  };
  const once = async (number: number): Promise<T> => {
    try {
      const result = await attempt(number);
      budget?.succeeded();
      return result;
    } catch (error) {
      thrown = error;
      throw toError(error);
    }
  };
  try {
    // The waiting is ours: p-retry has a clock of its own and knows no Retry-After.
    return await pRetry(once, {
      retries: policy.attempts - 1,
      minTimeout: 0,
      shouldRetry: ({ attemptNumber }) => goOn(attemptNumber),
    });
  } catch {
    // p-retry wraps what is no Error; the caller gets what was thrown.
    throw thrown;
  }
}
