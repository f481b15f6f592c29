import type { RollbackReport } from "../../guard/rollback.ts";
import type { RuleName, VerdictKind } from "../../guard/verdict.ts";
import { durationBuckets, type MetricDefinition, other } from "../metric.ts";

/** Metrics of latches, rollbacks and what the guard's rules say. */
export type GuardMetricId =
  | "latchTripped"
  | "latchEpoch"
  | "rollbacks"
  | "rollbackDuration"
  | "lastRollback"
  | "verdict"
  | "verdictChanges"
  | "ruleObserved"
  | "ruleLimit";

/** The rules of the guard, in the order of dashboards; `overall` stands for all of them together. */
export const ruleNames: readonly (RuleName | "overall" | typeof other)[] = [
  "error-rate",
  "timeout-rate",
  "latency",
  "new-exception",
  "mismatch",
  "shadow-error-rate",
  "memory",
  "exposure-budget",
  "fatal",
  "overall",
  other,
];

/** What starts a rollback: a rule, a person's command (`manual`), the fleet's quorum, or a drill. */
export const rollbackCauses: readonly string[] = [
  ...ruleNames.filter((rule) => rule !== "overall" && rule !== other),
  "manual",
  "fleet",
  "drill",
  other,
];

/** How a rollback ended: `incomplete` when a step failed, so that somebody has to look. */
export const rollbackResults: readonly RollbackReport["result"][] = ["complete", "incomplete"];

/**
 * The parts of a rollback that are timed: `latch`, until this process sends no call to the candidate any
 * more; `flag`, until the flag system confirmed that it is off; `whole`, with journal and drain.
 */
export const rollbackParts = ["latch", "flag", "whole"] as const;

/** What the judge may say. */
export const verdictKinds: readonly VerdictKind[] = [
  "healthy",
  "suspect",
  "breached",
  "inconclusive",
  "blind",
];

const each = { perOperation: true } as const;

export const guardMetrics: Readonly<Record<GuardMetricId, MetricDefinition>> = {
  latchTripped: {
    name: "changeover_latch_tripped",
    help: "1 while the latch is tripped and every call goes to legacy.",
    type: "gauge",
    ...each,
    labels: {},
  },
  latchEpoch: {
    name: "changeover_latch_epoch",
    help: "How often the latch ever tripped.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rollbacks: {
    name: "changeover_rollbacks_total",
    help: "Rollbacks by what started them and how they ended.",
    type: "counter",
    ...each,
    labels: { rule: rollbackCauses, result: rollbackResults },
  },
  rollbackDuration: {
    name: "changeover_rollback_duration_seconds",
    help: "How long rollbacks took from their start, to the tripped latch, to the confirmed flag, and in all.",
    type: "histogram",
    ...each,
    labels: { part: rollbackParts },
    buckets: durationBuckets,
  },
  lastRollback: {
    name: "changeover_last_rollback_timestamp_seconds",
    help: "When the last rollback began, in seconds since the Unix epoch; 0 for never.",
    type: "gauge",
    ...each,
    labels: {},
  },
  verdict: {
    name: "changeover_verdict",
    help: "1 for the present verdict of a rule; all 0 for a rule that is off.",
    type: "gauge",
    ...each,
    labels: { rule: ruleNames, verdict: verdictKinds },
  },
  verdictChanges: {
    name: "changeover_verdict_changes_total",
    help: "How often a rule came to this verdict after another.",
    type: "counter",
    ...each,
    labels: { rule: ruleNames, verdict: verdictKinds },
  },
  ruleObserved: {
    name: "changeover_rule_observed",
    help: "What a rule observes, in the rule's own unit; 0 when unknown.",
    type: "gauge",
    ...each,
    labels: { rule: ruleNames },
  },
  ruleLimit: {
    name: "changeover_rule_limit",
    help: "What a rule's observation must stay below, in the rule's own unit; 0 when unknown.",
    type: "gauge",
    ...each,
    labels: { rule: ruleNames },
  },
};
