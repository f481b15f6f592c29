import type { RollbackReport } from "../guard/rollback.ts";
import type { RuleName, VerdictKind } from "../guard/verdict.ts";
import { paths } from "../migration/call.ts";
import { decisionTable } from "../migration/decision.ts";
import { outcomeKinds } from "../migration/outcome.ts";
import { skipReasons } from "../shadow/budget.ts";
import { differenceKinds } from "../shadow/difference.ts";
import { shadowResultKinds } from "../shadow/shadow.ts";

/** A label that may only have these values; whatever else is counted under the last one, if it is `other`. */
type ClosedLabels = Readonly<Record<string, readonly string[]>>;

/** One metric as it is documented, exported, drawn and alerted on. */
export interface MetricDefinition {
  /** `changeover_<thing>_<unit>`, by the naming rules of Prometheus. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Has a label `operation` besides the closed ones. */
  readonly perOperation: boolean;
  readonly labels: ClosedLabels;
  /** Upper bounds of a histogram, in its unit. */
  readonly buckets?: readonly number[];
}

/** How each metric is called inside the program. */
export type MetricId =
  | "calls"
  | "callDuration"
  | "firstByte"
  | "decisions"
  | "fallbacks"
  | "bytes"
  | "inFlightCalls"
  | "inFlightBytes"
  | "abandonedCalls"
  | "shadowRuns"
  | "shadowSkipped"
  | "mismatches"
  | "latchTripped"
  | "latchEpoch"
  | "rollbacks"
  | "verdict"
  | "ruleObserved"
  | "ruleLimit"
  | "flagPercentage"
  | "flagsLastRefresh"
  | "flagProblems"
  | "internalErrors"
  | "memoryLimit"
  | "memoryUsed"
  | "overflow"
  | "buildInfo";

/** The label value of all operations beyond the recorder's limit. */
export const otherOperations = "__other__";

/** The label value of whatever a closed list does not name. */
export const other: "other" = "other";

/** Who waited for a run. */
const sources: readonly string[] = ["served", "shadow"];

/** How a fallback went: `denied` where the candidate failed and legacy was not allowed to answer. */
export const fallbackResults: readonly string[] = ["answered", "failed", "aborted", "denied"];

/** The rules of the guard, in the order of dashboards; `overall` stands for no rule at all. */
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

/** What the judge may say. */
export const verdictKinds: readonly VerdictKind[] = [
  "healthy",
  "suspect",
  "breached",
  "inconclusive",
  "blind",
];

/** The parts of this product that report errors of their own. */
export const internalParts: readonly string[] = [
  "decide",
  "cost",
  "fallback",
  "observation",
  "operation-added",
  "latch.changed",
  "latch-store",
  "on-answer",
  "shadow",
  "shadow.observation",
  "shadow.compared",
  "shadow.skipped",
  "guard.breached",
  "guard.budget",
  "guard.journal",
  "guard.verdict-changed",
  "flags",
  "metrics",
  other,
];

const seconds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

const each = { perOperation: true } as const;
const once = { perOperation: false } as const;
const path = { path: paths } as const;

/**
 * Every metric there is. Labels are closed lists, so that no caller, key, URL or error message can ever
 * become a time series; `operation` is bounded by the recorder.
 */
export const catalogue: Readonly<Record<MetricId, MetricDefinition>> = {
  calls: {
    name: "changeover_calls_total",
    help: "Runs of a path, by how they ended; a call that fell back counts once on each path.",
    type: "counter",
    ...each,
    labels: { ...path, outcome: outcomeKinds, source: sources },
  },
  callDuration: {
    name: "changeover_call_duration_seconds",
    help: "How long runs of a path took; for streams, to the end of the body.",
    type: "histogram",
    ...each,
    labels: { ...path, source: sources },
    buckets: seconds,
  },
  firstByte: {
    name: "changeover_time_to_first_byte_seconds",
    help: "How long served streams took to the first byte of their body.",
    type: "histogram",
    ...each,
    labels: path,
    buckets: seconds,
  },
  decisions: {
    name: "changeover_decisions_total",
    help: "Calls by the path that was chosen for them, and why.",
    type: "counter",
    ...each,
    labels: { ...path, reason: decisionTable.map((row) => row.reason) },
  },
  fallbacks: {
    name: "changeover_fallbacks_total",
    help: "Calls that the candidate failed, by what legacy did instead.",
    type: "counter",
    ...each,
    labels: { result: fallbackResults },
  },
  bytes: {
    name: "changeover_bytes_total",
    help: "Bytes of served bodies that reached callers.",
    type: "counter",
    ...each,
    labels: path,
  },
  inFlightCalls: {
    name: "changeover_in_flight_calls",
    help: "Runs that are going on, served and shadow.",
    type: "gauge",
    ...each,
    labels: path,
  },
  inFlightBytes: {
    name: "changeover_in_flight_bytes",
    help: "Declared memory of the runs that are going on.",
    type: "gauge",
    ...each,
    labels: path,
  },
  abandonedCalls: {
    name: "changeover_abandoned_calls",
    help: "Runs past their deadline whose work has not ended.",
    type: "gauge",
    ...each,
    labels: path,
  },
  shadowRuns: {
    name: "changeover_shadow_runs_total",
    help: "Shadows by the result of the comparison.",
    type: "counter",
    ...each,
    labels: { result: shadowResultKinds },
  },
  shadowSkipped: {
    name: "changeover_shadow_skipped_total",
    help: "Calls that were picked for shadowing and not shadowed, by why.",
    type: "counter",
    ...each,
    labels: { reason: skipReasons },
  },
  mismatches: {
    name: "changeover_mismatches_total",
    help: "Comparisons that found a difference, by the kinds of difference they found.",
    type: "counter",
    ...each,
    labels: { kind: differenceKinds },
  },
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
  verdict: {
    name: "changeover_verdict",
    help: "1 for the present verdict of a rule; all 0 before the first.",
    type: "gauge",
    ...each,
    labels: { rule: ruleNames, verdict: verdictKinds },
  },
  ruleObserved: {
    name: "changeover_rule_observed",
    help: "What a rule observed last, in the rule's own unit; 0 when unknown.",
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
  flagPercentage: {
    name: "changeover_flag_percentage",
    help: "Share of keys that the flag sends to the candidate, 0 to 100; 0 while it is off.",
    type: "gauge",
    ...each,
    labels: {},
  },
  flagsLastRefresh: {
    name: "changeover_flags_last_refresh_timestamp_seconds",
    help: "When the flags were last confirmed, in seconds since the Unix epoch; 0 for never.",
    type: "gauge",
    ...once,
    labels: {},
  },
  flagProblems: {
    name: "changeover_flag_problems",
    help: "Things wrong with the flags that did not stop them from working.",
    type: "gauge",
    ...once,
    labels: {},
  },
  internalErrors: {
    name: "changeover_internal_errors_total",
    help: "Errors of changeover itself that callers did not see, by the part that failed.",
    type: "counter",
    ...once,
    labels: { part: internalParts },
  },
  memoryLimit: {
    name: "changeover_memory_limit_bytes",
    help: "Memory this process may use; 0 when unknown.",
    type: "gauge",
    ...once,
    labels: {},
  },
  memoryUsed: {
    name: "changeover_memory_used_bytes",
    help: "Memory this process uses; 0 when unknown.",
    type: "gauge",
    ...once,
    labels: {},
  },
  overflow: {
    name: "changeover_operations_overflow_total",
    help: "Operations beyond the limit, counted together under __other__.",
    type: "counter",
    ...once,
    labels: {},
  },
  buildInfo: {
    name: "changeover_build_info",
    help: "Always 1; the labels say what is running.",
    type: "gauge",
    ...once,
    labels: { version: [], node: [] },
  },
};

/** Every name a metric appears under: a histogram has three. */
export function seriesNames(metric: MetricDefinition): readonly string[] {
  if (metric.type !== "histogram") return [metric.name];
  return [`${metric.name}_bucket`, `${metric.name}_sum`, `${metric.name}_count`];
}

/** Every label a metric's series carry. */
export function labelNames(metric: MetricDefinition): readonly string[] {
  const operation = metric.perOperation ? ["operation"] : [];
  const bound = metric.type === "histogram" ? ["le"] : [];
  return [...operation, ...Object.keys(metric.labels), ...bound];
}
