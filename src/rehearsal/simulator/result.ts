/** Median and 95th percentile; null where too many runs were missed, or nothing was to be found. */
export interface Percentiles {
  readonly p50: number | null;
  readonly p95: number | null;
}

/** How one policy did in one scenario. */
export interface SimulationResult {
  /** `changeover` is ours. */
  readonly policy: string;
  readonly scenario: string;
  /** Percentage of calls on the candidate. */
  readonly share: number;
  readonly callsPerSecond: number;
  /** Days over which false trips and holds were counted. */
  readonly days: number;
  /** Onsets played, in scenarios in which something goes wrong. */
  readonly runs: number;
  readonly seed: number;
  /** Rollbacks a day while none was right; 0 where `days` is 0. */
  readonly falseTripsPerDay: number;
  /** Holds a day while no rollback was right; a hold may be right all the same. */
  readonly falseHoldsPerDay: number;
  /** Candidate calls from the onset to the rollback. */
  readonly callsToTrip: Percentiles;
  readonly secondsToTrip: Percentiles;
  /**
   * Candidate calls that failed for their callers from the onset to the end of the run: until the
   * rollback, or to the horizon for who missed it or lets traffic back by itself.
   */
  readonly harmedCalls: Percentiles;
  /** Runs without a rollback. */
  readonly missed: number;
}

/** How one run from an onset went. */
export interface RunOutcome {
  /** Null for a missed run. */
  readonly calls: number | null;
  readonly seconds: number | null;
  readonly harmed: number;
}

/** Trips and holds while no rollback was right. */
export interface CalmOutcome {
  readonly trips: number;
  readonly holds: number;
}

/** The nearest-rank percentile (0 to 1) of values of which null is the largest. */
export function percentile(values: readonly (number | null)[], share: number): number | null {
  const known = values.filter((value) => value !== null).toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * values.length));
  return known[rank - 1] ?? null;
}

/** Median and 95th percentile of values of which null is the largest. */
export function percentilesOf(values: readonly (number | null)[]): Percentiles {
  return { p50: percentile(values, 0.5), p95: percentile(values, 0.95) };
}
