/** How fast a provider may be called right now. */
export interface Pace {
  /** Requests of a kind that may run at once; falls to 1 and climbs back. */
  readonly limit: number;
  /** Monotonic time until which nothing is sent. */
  readonly pausedUntilMs: number;
  /** Throttlings in a row, those during one pause counted once. */
  readonly throttles: number;
  /** Successes since the limit last changed. */
  readonly successes: number;
}

/** What a pace answers to. */
export interface PaceOptions {
  /** The limit that is climbed back to. */
  readonly maxLimit: number;
  /** The first pause when the provider names none, in milliseconds; it doubles each time. */
  readonly basePauseMs: number;
  /** The longest pause, in milliseconds. */
  readonly maxPauseMs: number;
}

/** What a request of this provider came to. */
export type PaceEvent =
  | { readonly kind: "succeeded"; readonly atMs: number }
  | {
      readonly kind: "throttled";
      readonly atMs: number;
      /** From the provider's `Retry-After`; 0 when it said nothing. */
      readonly retryAfterMs: number;
      /** In [0, 1). */
      readonly random: number;
    };

/** The pace that nobody has complained about. */
export function fullPace({ maxLimit }: PaceOptions): Pace {
  return { limit: maxLimit, pausedUntilMs: 0, throttles: 0, successes: 0 };
}

/**
 * A 429 is about the account and not about one request: everything pauses, then one request goes at a
 * time, and each round that succeeds adds one more. Pure.
 */
export function paceAfter(pace: Pace, event: PaceEvent, options: PaceOptions): Pace {
  const isPaused = event.atMs < pace.pausedUntilMs;
  if (event.kind === "succeeded") {
    // Sent before the pause: it says nothing about what comes after.
    if (isPaused || pace.limit >= options.maxLimit) return pace;
    const successes = pace.successes + 1;
    if (successes < pace.limit) return { ...pace, successes };
    return { ...pace, limit: pace.limit + 1, successes: 0, throttles: 0 };
  }
  const throttles = isPaused ? pace.throttles : pace.throttles + 1;
  const ownMs = Math.min(options.maxPauseMs, options.basePauseMs * 2 ** (throttles - 1));
  const askedMs = Math.min(options.maxPauseMs, event.retryAfterMs);
  // Half of it at random, so that processes with the same key do not come back together.
  const pauseMs = askedMs > 0 ? askedMs : ownMs * (0.5 + event.random / 2);
  return {
    limit: 1,
    pausedUntilMs: Math.max(pace.pausedUntilMs, event.atMs + pauseMs),
    throttles,
    successes: 0,
  };
}
