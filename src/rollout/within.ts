import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";

/**
 * What `work` comes to, if it does so within `ms` milliseconds; rejects with `ROLLOUT_TIMEOUT` else. What
 * it comes to later is not heard any more.
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: Promise<T>,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = clock.after(ms, () => reject(timeout(what, ms)));
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.cancel();
    work.catch(() => undefined);
  }
}

const timeout = (what: string, ms: number): CodedError =>
  new CodedError(
    "ROLLOUT_TIMEOUT",
    `There was no answer from ${what} within ${ms} ms. The rollout stays where it is and tries again.`,
    { status: 504, retryable: true },
  );
