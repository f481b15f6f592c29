import type { Clock } from "../../base/clock.ts";

/** How long something may take. */
export interface TimeLimit {
  readonly clock: Clock;
  readonly limitMs: number;
  /** The caller's own cancellation. */
  readonly signal?: AbortSignal;
}

/** The reason with which a signal of {@link withTimeLimit} aborts when the time is over. */
export class TimeIsOver extends Error {
  override readonly name = "TimeIsOver";

  constructor(limitMs: number) {
    super(`no answer within ${limitMs} ms`);
  }
}

/**
 * Runs `work` under a signal that aborts with the caller's, or with {@link TimeIsOver} after `limitMs`
 * milliseconds. What the work opened under the signal follows the caller's even after it has resolved.
 */
export async function withTimeLimit<T>(
  limit: TimeLimit,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock, limitMs, signal } = limit;
  const controller = new AbortController();
  const timer = clock.after(limitMs, () => controller.abort(new TimeIsOver(limitMs)));
  const both =
    signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
  try {
    return await work(both);
  } finally {
    timer.cancel();
  }
}
