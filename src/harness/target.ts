import type { Interval } from "./statistics.ts";

/** What a measured value ought to be at most. Not a gate: a target that is missed fails nothing. */
export interface Target {
  /** The case it belongs to. */
  readonly case: string;
  /** What is measured, in words. */
  readonly measure: string;
  /** The unit of limit and value; `x` for a ratio. */
  readonly unit: string;
  readonly limit: number;
}

/**
 * What the 95 % interval allows to say: `pass` when all of it is at or below the limit, `fail` when all
 * of it is above, else `inconclusive`.
 */
export type TargetVerdict = "pass" | "fail" | "inconclusive";

/** A target with what was measured. */
export interface TargetResult extends Target {
  readonly value: number;
  readonly ci95: Interval;
  readonly verdict: TargetVerdict;
}

/** Compares a measured value and its interval with a target. A value that is not a number is inconclusive. */
export function judgeTarget(target: Target, value: number, ci95: Interval): TargetResult {
  return { ...target, value, ci95, verdict: verdictOf(target.limit, ci95) };
}

function verdictOf(limit: number, { low, high }: Interval): TargetVerdict {
  if (high <= limit) return "pass";
  return low > limit ? "fail" : "inconclusive";
}
