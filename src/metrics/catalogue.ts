import { type CallMetricId, callMetrics } from "./definitions/call-metrics.ts";
import { type GuardMetricId, guardMetrics } from "./definitions/guard-metrics.ts";
import { type ProcessMetricId, processMetrics } from "./definitions/process-metrics.ts";
import { type RolloutMetricId, rolloutMetrics } from "./definitions/rollout-metrics.ts";
import type { MetricDefinition } from "./metric.ts";

/** How each metric is called inside the program. */
export type MetricId = CallMetricId | GuardMetricId | RolloutMetricId | ProcessMetricId;

/**
 * Every metric of the library itself; a part that the library does not know brings its own (see
 * `MetricsRecorder.addFamilies`). Labels are closed lists, so that no caller, key, URL or error message
 * can ever become a time series; `operation` is bounded by the recorder.
 */
export const catalogue: Readonly<Record<MetricId, MetricDefinition>> = {
  ...callMetrics,
  ...guardMetrics,
  ...rolloutMetrics,
  ...processMetrics,
};
