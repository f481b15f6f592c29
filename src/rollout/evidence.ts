/** Counts of one path, as the guard counts them. */
export interface PathTotals {
  readonly calls: number;
  /** Failed; those that timed out are not among them. */
  readonly failed: number;
  readonly timedOut: number;
  /** The sum of what its calls took to their answer, in milliseconds; null where nobody counts it. */
  readonly durationMs: number | null;
}

/** Counts of one operation: of both paths, and of the comparisons of their answers in the shadow. */
export interface EvidenceTotals {
  readonly legacy: PathTotals;
  readonly candidate: PathTotals;
  /** Comparisons that could be made, same or different. */
  readonly compared: number;
}

const noCalls: PathTotals = { calls: 0, failed: 0, timedOut: 0, durationMs: 0 };

/** Nothing was counted. */
export const noEvidence: EvidenceTotals = { legacy: noCalls, candidate: noCalls, compared: 0 };

/** The sum of both. */
export function addEvidence(a: EvidenceTotals, b: EvidenceTotals): EvidenceTotals {
  return {
    legacy: addPath(a.legacy, b.legacy),
    candidate: addPath(a.candidate, b.candidate),
    compared: a.compared + b.compared,
  };
}

/** The sum of both; a duration that one of them does not know is not known. */
export function addPath(a: PathTotals, b: PathTotals): PathTotals {
  return {
    calls: a.calls + b.calls,
    failed: a.failed + b.failed,
    timedOut: a.timedOut + b.timedOut,
    durationMs: a.durationMs === null || b.durationMs === null ? null : a.durationMs + b.durationMs,
  };
}

/**
 * What a counter that only grows has grown by. One that is lower than before began anew at 0, since its
 * process did.
 */
export function grownBy(before: EvidenceTotals, now: EvidenceTotals): EvidenceTotals {
  const anew =
    now.legacy.calls < before.legacy.calls || now.candidate.calls < before.candidate.calls;
  if (anew) return now;
  return {
    legacy: subtract(now.legacy, before.legacy),
    candidate: subtract(now.candidate, before.candidate),
    compared: Math.max(0, now.compared - before.compared),
  };
}

function subtract(now: PathTotals, before: PathTotals): PathTotals {
  const known = now.durationMs !== null && before.durationMs !== null;
  return {
    calls: now.calls - before.calls,
    failed: Math.max(0, now.failed - before.failed),
    timedOut: Math.max(0, now.timedOut - before.timedOut),
    durationMs: known ? Math.max(0, (now.durationMs ?? 0) - (before.durationMs ?? 0)) : null,
  };
}

/** Share of a path's calls that failed or timed out; 0 without calls. */
export function badShare({ calls, failed, timedOut }: PathTotals): number {
  return calls === 0 ? 0 : (failed + timedOut) / calls;
}
