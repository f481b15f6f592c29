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
  /** An empty list: the label has one value at a time, which is not known beforehand. */
  readonly labels: ClosedLabels;
  /** Upper bounds of a histogram, in its unit. */
  readonly buckets?: readonly number[];
}

/** Upper bounds of durations, in seconds. */
export const durationBuckets: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** The label value of whatever a closed list does not name. */
export const other: "other" = "other";

/** The label value of all operations beyond the recorder's limit. */
export const otherOperations = "__other__";

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
