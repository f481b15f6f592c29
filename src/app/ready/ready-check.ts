import type { JournalEntry } from "../../migration/journal.ts";
import type { MismatchEntry } from "../control.ts";
import type { SnapshotOperation } from "../snapshot.ts";

/** What must be true before a legacy path may be deleted, in the order it is told. */
export const readyCheckNames = [
  "full-time",
  "calls",
  "fallbacks",
  "rollbacks",
  "mismatches",
  "inputs",
  "rollout",
  "latch",
  "drill",
  "flag-age",
] as const;

/** One question of `changeover ready`. */
export type ReadyCheckName = (typeof readyCheckNames)[number];

/** What is asked for. */
export interface ReadyLimits {
  /** Days at 100 % at least; fallbacks and rollbacks are looked for over as long. */
  readonly days: number;
  /** Calls on the candidate at least. */
  readonly calls: number;
  /** The upper 95 % bound of the share of answers that differ must be below this, 0 to 1. */
  readonly mismatchRate: number;
  /** Days that a passed drill stays good. */
  readonly drillDays: number;
}

/** Two weeks, ten thousand calls, less than one answer in a thousand, a drill in the last quarter. */
export const defaultReadyLimits: ReadyLimits = {
  days: 14,
  calls: 10_000,
  mismatchRate: 0.001,
  drillDays: 90,
};

/** Calls of one operation as they were counted, and since when. */
export interface ReadyCounts {
  /** Who counted, as in `this process` or `Prometheus`. */
  readonly source: string;
  /** Nothing before this is in the counts; milliseconds since the Unix epoch. */
  readonly sinceMs: number;
  /** Served calls, by path. */
  readonly candidateCalls: number;
  readonly legacyCalls: number;
  /** Calls that the candidate failed and legacy was asked for; null: not counted everywhere. */
  readonly fallbacks: number | null;
  /** Answers of both paths that were compared, and those of them that differed. */
  readonly compared: number;
  readonly different: number;
}

/** Everything that is known of one operation; null is what nobody knows. */
export interface ReadyFacts {
  readonly nowMs: number;
  readonly now: Pick<SnapshotOperation, "name" | "flag" | "latch" | "rollout">;
  /** Live instances whose own latch is tripped. */
  readonly latchedInstances: readonly string[];
  /** The operation's journal, oldest first. */
  readonly entries: readonly JournalEntry[];
  /** There may be older entries than these. */
  readonly truncated: boolean;
  readonly counts: ReadyCounts | null;
  /** Why there are no counts. */
  readonly noCounts: string;
  /** Differences on record. */
  readonly mismatches: readonly MismatchEntry[];
  /** When the flag should be gone, YYYY-MM-DD, from its file. */
  readonly removeBy: string | null;
  /** When a drill of the operation last passed. */
  readonly drilledMs: number | null;
}

/** `unknown`: cannot be told, which is not good enough. */
export type ReadyState = "passed" | "failed" | "unknown";

/** One answer with its numbers. */
export interface ReadyCheck {
  readonly name: ReadyCheckName;
  readonly state: ReadyState;
  /** One or two sentences: what was found, what is asked for, and what to do where it is not clear. */
  readonly sentence: string;
}

/** Is it safe to delete the legacy path of an operation? */
export interface ReadyReport {
  readonly operation: string;
  /** ISO 8601. */
  readonly at: string;
  /** True only when every check has passed. */
  readonly ready: boolean;
  /** Since when the candidate has had every call without a break, ISO 8601; null: not now, or not known. */
  readonly fullSince: string | null;
  readonly limits: ReadyLimits;
  readonly checks: readonly ReadyCheck[];
}
