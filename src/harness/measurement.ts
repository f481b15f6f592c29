import type { Random } from "../base/random.ts";
import type { CallDistribution } from "./distribution.ts";
import { convertPairs, judgePairs, type PairJudgement, type PairValues } from "./pairs.ts";
import type { Interval } from "./statistics.ts";

/** Units of values. 1 MB is 1,000,000 bytes; `x` is a ratio. */
export type Unit = "ms" | "ns" | "MB/s" | "MB" | "B" | "%" | "s/GiB" | "x";

/** What a comparison is about. */
export interface ComparisonSubject {
  /** The case it belongs to, such as `upload-50mb`. */
  readonly case: string;
  /** What was measured, in words: `throughput`, `memory over idle`, `time per call`. */
  readonly measure: string;
  readonly unit: Unit;
  readonly better: "higher" | "lower";
  /**
   * Values below this cannot be told apart: they count as this much in the judgement, so a ratio is never made
   * more extreme than what was seen. Null where every value means what it says.
   */
  readonly resolution: number | null;
  /** Flags of Node.js the measured processes ran with. */
  readonly nodeFlags: readonly string[];
  /** How it was measured, where that matters for reading it; empty otherwise. */
  readonly note: string;
}

/** Two sides, measured in interleaved pairs. */
export interface Comparison extends ComparisonSubject, PairJudgement {
  readonly baseName: string;
  readonly contenderName: string;
  readonly reading: Reading;
  /** Every value as it was measured, by launch. */
  readonly raw: readonly PairValues[];
}

/**
 * What the 95 % interval of the ratio allows to say: the contender is `better` or `worse` when all of
 * it lies on that side of 1, else `unclear`.
 */
export type Reading = "better" | "worse" | "unclear";

/** How single calls were spread, with the case it belongs to. */
export interface CaseDistribution extends CallDistribution {
  readonly case: string;
}

/** A single value that is no comparison of two. */
export interface Figure {
  readonly case: string;
  /** What was measured, in words. */
  readonly measure: string;
  /** A {@link Unit}, or what is counted. */
  readonly unit: string;
  readonly value: number;
  readonly ci95: Interval;
}

/** Judges pairs of all launches. Throws as {@link judgePairs} does. */
export function comparisonOf(
  subject: ComparisonSubject,
  launches: readonly PairValues[],
  random: Random,
): Comparison {
  const { resolution } = subject;
  const seen = (value: number): number =>
    resolution === null ? value : Math.max(value, resolution);
  const judgement = judgePairs(
    launches.map((each) => convertPairs(each, seen)),
    { random },
  );
  return {
    ...subject,
    baseName: launches[0]?.base.name ?? "",
    contenderName: launches[0]?.contender.name ?? "",
    ...judgement,
    reading: readingOf(judgement.ratioCi95, subject.better),
    raw: launches,
  };
}

/** Reads an interval of contender / base. */
export function readingOf(
  interval: { readonly low: number; readonly high: number },
  better: "higher" | "lower",
): Reading {
  if (interval.low <= 1 && interval.high >= 1) return "unclear";
  return interval.low > 1 === (better === "higher") ? "better" : "worse";
}
