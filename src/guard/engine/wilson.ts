/** Bounds of a share, both in 0 to 1. */
export interface Interval {
  readonly lower: number;
  readonly upper: number;
}

/** Bad calls out of all calls. */
export interface Tally {
  readonly bad: number;
  readonly calls: number;
}

/** Normal quantile of a one-sided 95 % bound. */
export const z95 = 1.6449;
/** Normal quantile of a one-sided 99.87 % bound: for a baseline that must not be underestimated. */
export const zStrict = 3;
/**
 * Wilson's score interval of a proportion (E. B. Wilson, 1927): right also for 0 of n and for small n.
 * Without any call nothing is known: 0 to 1.
 */
export function wilson({ bad, calls }: Tally, z: number): Interval {
  if (calls <= 0) return { lower: 0, upper: 1 };
  const share = bad / calls;
  const z2 = z * z;
  const centre = share + z2 / (2 * calls);
  const spread = z * Math.sqrt((share * (1 - share)) / calls + z2 / (4 * calls * calls));
  const scale = 1 + z2 / calls;
  return {
    lower: bad <= 0 ? 0 : Math.max(0, (centre - spread) / scale),
    upper: bad >= calls ? 1 : Math.min(1, (centre + spread) / scale),
  };
}

/** The upper bound alone, without making an object: it is needed every second for every rule. */
export function wilsonUpper(bad: number, calls: number, z: number): number {
  if (calls <= 0 || bad >= calls) return 1;
  const share = bad / calls;
  const z2 = z * z;
  const spread = z * Math.sqrt((share * (1 - share)) / calls + z2 / (4 * calls * calls));
  return Math.min(1, (share + z2 / (2 * calls) + spread) / (1 + z2 / calls));
}

/**
 * Interval of `first - second` for two independent proportions: method 10 of R. G. Newcombe, Statistics
 * in Medicine 17 (1998) 873-890. Between -1 and 1; without calls on either side, -1 to 1.
 */
export function newcombe(first: Tally, second: Tally, z: number): Interval {
  if (first.calls <= 0 || second.calls <= 0) return { lower: -1, upper: 1 };
  const p1 = first.bad / first.calls;
  const p2 = second.bad / second.calls;
  const a = wilson(first, z);
  const b = wilson(second, z);
  return {
    lower: p1 - p2 - Math.hypot(p1 - a.lower, b.upper - p2),
    upper: p1 - p2 + Math.hypot(a.upper - p1, p2 - b.lower),
  };
}
