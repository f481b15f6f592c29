import { paths } from "../../migration/call.ts";
import { decisionTable } from "../../migration/decision.ts";
import { outcomeKinds } from "../../migration/outcome.ts";
import { skipReasons } from "../../shadow/budget.ts";
import { differenceKinds } from "../../shadow/difference.ts";
import { shadowResultKinds } from "../../shadow/shadow.ts";
import { errorTypes } from "../error-type.ts";
import { durationBuckets, type MetricDefinition } from "../metric.ts";

/** Metrics of calls and of their shadows. */
export type CallMetricId =
  | "calls"
  | "callDuration"
  | "firstByte"
  | "decisions"
  | "fallbacks"
  | "errors"
  | "bytes"
  | "inFlightCalls"
  | "inFlightBytes"
  | "abandonedCalls"
  | "shadowRuns"
  | "shadowSkipped"
  | "mismatches";

/** Who waited for a run. */
const sources: readonly string[] = ["served", "shadow"];

/** How a fallback went: `denied` where the candidate failed and legacy was not allowed to answer. */
export const fallbackResults: readonly string[] = ["answered", "failed", "aborted", "denied"];

const each = { perOperation: true } as const;
const path = { path: paths } as const;

export const callMetrics: Readonly<Record<CallMetricId, MetricDefinition>> = {
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
    buckets: durationBuckets,
  },
  firstByte: {
    name: "changeover_time_to_first_byte_seconds",
    help: "How long served streams took to the first byte of their body.",
    type: "histogram",
    ...each,
    labels: path,
    buckets: durationBuckets,
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
  errors: {
    name: "changeover_errors_total",
    help: "Served runs that failed or timed out, by the kind of error.",
    type: "counter",
    ...each,
    labels: { ...path, type: errorTypes },
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
};
