/** The requests that the demo's callers make. */
export type CallKind = "info" | "list" | "download" | "upload" | "delete";

/** What callers saw since the traffic began; every number only grows. */
export interface TrafficCounts {
  /** Wall-clock milliseconds since the Unix epoch, when they were taken. */
  readonly atMs: number;
  /** Calls that ended, however they did. */
  readonly calls: Readonly<Record<CallKind, number>>;
  /** Calls of `info`, by the path that answered as the gateway tells it. */
  readonly answeredBy: Readonly<Record<"legacy" | "candidate", number>>;
  /** Calls that legacy answered after the candidate had failed. */
  readonly fellBack: number;
  /** Calls that did not get what they should: refused, failed, lost, cut, or the wrong bytes. */
  readonly harmed: number;
  /** The first few of them, in words. */
  readonly examples: readonly string[];
  /** Calls that were due and not made, because as many as allowed were under way. */
  readonly notMade: number;
  /** Bytes sent and received in files. */
  readonly fileBytes: number;
  /** The newest answer of `info` by the candidate, wall clock; null: none yet. */
  readonly candidateSeenMs: number | null;
  /** Milliseconds within which half and 95 % of the `info` calls since the last counts ended; null without calls. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
}

/** Calls in a second, and what became of them. */
export interface TrafficRates {
  readonly info: number;
  readonly all: number;
  readonly legacy: number;
  readonly candidate: number;
  readonly fellBack: number;
}

/** What happened between two counts, in a second on average; zeros where no time passed. Pure. */
export function ratesBetween(from: TrafficCounts, to: TrafficCounts): TrafficRates {
  const seconds = (to.atMs - from.atMs) / 1000;
  const each = (read: (counts: TrafficCounts) => number): number =>
    seconds > 0 ? (read(to) - read(from)) / seconds : 0;
  return {
    info: each(({ calls }) => calls.info),
    all: each(({ calls }) => sum(calls)),
    legacy: each(({ answeredBy }) => answeredBy.legacy),
    candidate: each(({ answeredBy }) => answeredBy.candidate),
    fellBack: each(({ fellBack }) => fellBack),
  };
}

/** All calls, of every kind. */
export function sum(calls: TrafficCounts["calls"]): number {
  return Object.values(calls).reduce((all, count) => all + count, 0);
}

/** The value that the share `q` of `sorted` lies at or below; null without values. */
export function quantileOf(sorted: readonly number[], q: number): number | null {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null;
}
