import { isCodedError } from "../../base/errors.ts";

/** How often and how long something is tried. */
export interface RetryPolicy {
  /** Attempts in all, the first included; 1 means no retry. Default 4. */
  readonly attempts: number;
  /** The longest wait before the second attempt, in milliseconds; it doubles each time. Default 500. */
  readonly baseDelayMs: number;
  /** The longest wait before any attempt, in milliseconds. Default 20,000. */
  readonly maxDelayMs: number;
  /** A longer Retry-After than this is not waited for, in milliseconds. Default 60,000. */
  readonly maxRetryAfterMs: number;
  /** From the first attempt on, no attempt starts later than this, in milliseconds. Default 600,000. */
  readonly maxTotalMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {
  attempts: 4,
  baseDelayMs: 500,
  maxDelayMs: 20_000,
  maxRetryAfterMs: 60_000,
  maxTotalMs: 600_000,
};

/** An attempt that failed. */
export interface FailedAttempt {
  /** 1 for the first. */
  readonly attempt: number;
  /** Milliseconds since the first attempt began. */
  readonly elapsedMs: number;
  readonly error: unknown;
  /** May the same call succeed later? */
  readonly isTransient: boolean;
  readonly isAborted: boolean;
}

/** Whether to try again, and when; or why not. */
export type RetryDecision =
  | { readonly retry: true; readonly delayMs: number }
  | {
      readonly retry: false;
      readonly reason: "aborted" | "final" | "attempts" | "retry-after" | "time";
    };

/**
 * Shall it be tried again? Only what is transient is. The wait is a random part of an exponentially
 * growing one ("full jitter": a crowd that failed together does not come back together); a
 * `Retry-After` is waited for in full, and a little longer. `random` is in [0, 1). Pure.
 */
export function decideRetry(
  policy: RetryPolicy,
  failed: FailedAttempt,
  random: number,
): RetryDecision {
  const { attempt, elapsedMs, error, isTransient, isAborted } = failed;
  if (isAborted) return { retry: false, reason: "aborted" };
  if (!isTransient) return { retry: false, reason: "final" };
  if (attempt >= policy.attempts) return { retry: false, reason: "attempts" };
  const jitterMs = random * Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempt - 1));
  const afterMs = retryAfterMs(error);
  if (afterMs > policy.maxRetryAfterMs) return { retry: false, reason: "retry-after" };
  const delayMs = afterMs > 0 ? afterMs + random * policy.baseDelayMs : jitterMs;
  if (elapsedMs + delayMs > policy.maxTotalMs) return { retry: false, reason: "time" };
  return { retry: true, delayMs };
}

/** May the same call succeed later? Every error of ours says so itself; nothing else is believed. */
export function isRetryable(error: unknown): boolean {
  return isCodedError(error) && error.retryable;
}

function retryAfterMs(error: unknown): number {
  return isCodedError(error) ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
}
