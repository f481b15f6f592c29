import type { Random } from "../base/random.ts";
import type { Comparison, Figure } from "./measurement.ts";
import { bootstrapInterval, type Interval, medianOfGroups } from "./statistics.ts";

/** What a measured value ought to be. Not a gate: a target that is missed fails nothing. */
export interface Target {
  /** Kebab-case, unique, and kept when the limit changes. */
  readonly id: string;
  /** What is promised, in words. */
  readonly text: string;
  /** `promise`: what the migration was begun for; `ours`: what we ask of ourselves beyond it. */
  readonly source: "promise" | "ours";
  /** Where the value is found: a case, and in it a measure. */
  readonly case: string;
  readonly measure: string;
  /** Sides of the comparison, where several have that measure. */
  readonly base?: string;
  readonly contender?: string;
  /** Which value of the comparison: contender / base, one side, or contender - base. A figure has one. */
  readonly read: "ratio" | "base" | "contender" | "difference" | "figure";
  readonly bound: "at-most" | "at-least";
  readonly limit: number;
  /** The unit of limit and value; `x` for a ratio. */
  readonly unit: string;
  /** Cores without which it cannot be judged. */
  readonly coresMin?: number;
  /** What stands in the way where it is missed: a limit that was measured or follows from one, in words. */
  readonly obstacle?: string;
}

/**
 * What the 95 % interval allows to say: `pass` when all of it is on the right side of the limit, `fail`
 * when all of it is on the wrong one, else `inconclusive`; so is what was not measured.
 */
export type TargetVerdict = "pass" | "fail" | "inconclusive";

/** A target with what was measured. */
export interface TargetResult {
  readonly id: string;
  readonly text: string;
  readonly source: Target["source"];
  readonly case: string;
  readonly unit: string;
  readonly bound: Target["bound"];
  readonly limit: number;
  /** Null when it was not measured. */
  readonly value: number | null;
  readonly ci95: Interval | null;
  readonly verdict: TargetVerdict;
  /** Why it is inconclusive, or what stands in the way where it is missed; else empty. */
  readonly why: string;
}

/** What targets are judged by. */
export interface Measured {
  readonly comparisons: readonly Comparison[];
  readonly figures: readonly Figure[];
  readonly cores: number;
  /** A run of few samples decides nothing: everything it measured is inconclusive. */
  readonly quick: boolean;
  readonly random: Random;
}

/** Finds what belongs to a target and judges it. */
export function judgeTarget(target: Target, measured: Measured): TargetResult {
  const { id, text, source, unit, bound, limit, coresMin = 0, obstacle = "" } = target;
  const found = measuredBy(target, measured);
  const known = { id, text, source, case: target.case, unit, bound, limit };
  if (measured.cores < coresMin) {
    const why = `needs ${coresMin} cores, there are ${measured.cores}`;
    return { ...known, value: null, ci95: null, verdict: "inconclusive", why };
  }
  if (found === null) {
    return { ...known, value: null, ci95: null, verdict: "inconclusive", why: "not measured" };
  }
  const verdict = measured.quick ? "inconclusive" : verdictOf(bound, limit, found.ci95);
  const why = measured.quick
    ? "a quick run decides nothing"
    : verdict === "inconclusive"
      ? "the limit is inside the interval"
      : verdict === "fail"
        ? obstacle
        : "";
  return { ...known, ...found, verdict, why };
}

/** Which side of the limit an interval is on; one with an end that is not a number is on neither. */
export function verdictOf(
  bound: Target["bound"],
  limit: number,
  { low, high }: Interval,
): TargetVerdict {
  if (bound === "at-most") {
    if (high <= limit) return "pass";
    return low > limit ? "fail" : "inconclusive";
  }
  if (low >= limit) return "pass";
  return high < limit ? "fail" : "inconclusive";
}

interface Found {
  readonly value: number;
  readonly ci95: Interval;
}

function measuredBy(target: Target, { comparisons, figures, random }: Measured): Found | null {
  const isMeant = (each: { readonly case: string; readonly measure: string }): boolean =>
    each.case === target.case && each.measure === target.measure;
  if (target.read === "figure") {
    const figure = figures.find(isMeant);
    return figure === undefined ? null : { value: figure.value, ci95: figure.ci95 };
  }
  const comparison = comparisons.find(
    (each) =>
      isMeant(each) &&
      (target.base ?? each.baseName) === each.baseName &&
      (target.contender ?? each.contenderName) === each.contenderName,
  );
  if (comparison === undefined) return null;
  const { ratio, ratioCi95, difference, differenceCi95, raw } = comparison;
  if (target.read === "ratio") return { value: ratio, ci95: ratioCi95 };
  if (target.read === "difference") return { value: difference, ci95: differenceCi95 };
  const { read } = target;
  const groups = raw.map((launch) => launch[read].values);
  return { value: medianOfGroups(groups), ci95: bootstrapInterval(groups, { random }) };
}
