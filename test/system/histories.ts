import { type Random, seededRandom } from "../../src/base/random.ts";
import { gcKinds } from "../../src/metrics/definitions/process-metrics.ts";
import type { MetricDefinition } from "../../src/metrics/metric.ts";
import { allMetrics } from "../metrics/dashboard.ts";

/** What happened in a recorded history. */
export type Scenario = "healthy" | "breach" | "no traffic";

/** When histories begin and end, in seconds since the Unix epoch, and how often they were scraped. */
export const historyStart = 1_780_000_000;
export const historySeconds: number = 20 * 60;
export const historyStep = 30;

/** When the rollout enters its second stage, and when the candidate breaks, in seconds from the start. */
const stageAt = 5 * 60;
const breachAt = 18 * 60;

type Labels = Readonly<Record<string, string>>;

/** One moment of a history. */
interface Moment {
  readonly scenario: Scenario;
  /** Seconds since the start. */
  readonly at: number;
  readonly broken: boolean;
  readonly random: Random;
}

const operations = ["upload", "info"];
const instances = ["one:9100", "two:9100"];

/** Labels of which one value is the present state, and which it is. */
const present: Readonly<Record<string, (labels: Labels, moment: Moment) => boolean>> = {
  changeover_verdict: ({ rule, verdict }, { broken }) =>
    verdict === (broken && (rule === "error-rate" || rule === "overall") ? "breached" : "healthy"),
  changeover_rollout_state: ({ state }, { broken }) =>
    state === (broken ? "rolled-back" : "running"),
  changeover_rollout_gate: ({ gate, state }, { broken }) =>
    state === (gate === "samples" || broken ? "waiting" : "passed"),
  changeover_flags_state: ({ state }, { broken }) => state === (broken ? "stale" : "fresh"),
  changeover_provider_health: ({ state }, { broken }) => state === (broken ? "down" : "up"),
  changeover_memory_limit_source: ({ source }) => source === "cgroup-v2",
  changeover_back_pressure: (_, { broken }) => broken,
};

/** Gauges that are not just some number. */
const gauges: Readonly<Record<string, (labels: Labels, moment: Moment) => number>> = {
  changeover_build_info: () => 1,
  changeover_flags_revision_info: () => 1,
  changeover_latch_tripped: (_, { broken }) => (broken ? 1 : 0),
  changeover_latch_epoch: (_, { broken }) => (broken ? 1 : 0),
  changeover_rollout_stage: (_, { at }) => (at < stageAt ? 1 : 2),
  changeover_rollout_stages: () => 5,
  changeover_flag_percentage: (_, { at, broken }) => (broken ? 0 : at < stageAt ? 1 : 10),
  changeover_rule_limit: () => 0.05,
  changeover_rule_observed: (_, { broken }) => (broken ? 0.4 : 0.01),
  changeover_controller_leader: ({ instance }) => (instance === instances[0] ? 1 : 0),
  changeover_last_rollback_timestamp_seconds: (_, { broken }) =>
    broken ? historyStart + breachAt : 0,
  changeover_fleet_connected: () => 1,
  changeover_memory_limit_bytes: () => 1e9,
  changeover_spool_limit_bytes: () => 1e9,
};

function gaugeValue({ name }: MetricDefinition, labels: Labels, moment: Moment): number {
  const isPresent = present[name];
  if (isPresent !== undefined) return isPresent(labels, moment) ? 1 : 0;
  const known = gauges[name];
  if (known !== undefined) return known(labels, moment);
  if (name.endsWith("_timestamp_seconds")) return historyStart + moment.at - 5;
  if (name.endsWith("_ratio")) return moment.broken ? 0.95 : 0.4;
  const busy = moment.scenario === "no traffic" ? 0 : 3;
  const size = name.endsWith("_bytes") ? 1e6 : 1;
  return Math.round(size * (busy + 2 * moment.random.next()));
}

/** How much a counter grows in a second. */
function growth({ name }: MetricDefinition, labels: Labels, moment: Moment): number {
  if (name === "changeover_event_loop_seconds_total")
    return labels["state"] === "active" ? 0.2 : 0.8;
  if (name === "changeover_gc_pause_seconds_total") return gcKinds.length / 1000;
  const { scenario, broken, random } = moment;
  if (scenario === "no traffic") return 0;
  const isTrouble =
    labels["outcome"] === "failed" ||
    labels["outcome"] === "timed-out" ||
    /_(rollbacks|errors|internal_errors|operations_overflow|fallbacks)_total$/.test(name);
  if (isTrouble) return broken ? 1 + random.next() : 0;
  return name.includes("bytes") ? 1e5 * (1 + random.next()) : 2 + random.next();
}

function combinationsOf(metric: MetricDefinition): Labels[] {
  const fixed: Labels[] = metric.perOperation
    ? operations.map((operation) => ({ operation }))
    : [{}];
  let found = fixed.flatMap((each) =>
    instances.map((instance) => ({ ...each, instance, job: "changeover" })),
  ) as Labels[];
  for (const [label, values] of Object.entries(metric.labels)) {
    const known = values.length === 0 ? ["v1"] : values;
    found = found.flatMap((each) => known.map((value) => ({ ...each, [label]: value })));
  }
  return found;
}

const printed = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",");

/**
 * Everything that two instances with two operations would have exported for 20 minutes, in the format that
 * `promtool tsdb create-blocks-from openmetrics` reads. The same scenario gives the same text.
 */
export function recordedHistory(scenario: Scenario): string {
  const random = seededRandom(7);
  const lines: string[] = [];
  const moments = Array.from({ length: historySeconds / historyStep + 1 }, (_, index): Moment => {
    const at = index * historyStep;
    return { scenario, at, random, broken: scenario === "breach" && at >= breachAt };
  });
  for (const metric of allMetrics) {
    for (const labels of combinationsOf(metric)) {
      if (metric.type === "histogram") addHistogram(lines, metric, labels, moments);
      else addSeries(lines, metric, labels, moments);
    }
  }
  return `${lines.join("\n")}\n# EOF\n`;
}

function addSeries(
  lines: string[],
  metric: MetricDefinition,
  labels: Labels,
  moments: readonly Moment[],
): void {
  let total = 0;
  const series = `${metric.name}{${printed(labels)}}`;
  for (const moment of moments) {
    if (metric.type === "counter") total += growth(metric, labels, moment) * historyStep;
    const value = metric.type === "counter" ? total : gaugeValue(metric, labels, moment);
    lines.push(`${series} ${value} ${historyStart + moment.at}`);
  }
}

/** Durations around a tenth of a second; ten times that while the candidate is broken. */
function addHistogram(
  lines: string[],
  metric: MetricDefinition,
  labels: Labels,
  moments: readonly Moment[],
): void {
  const bounds = [...(metric.buckets ?? []), Number.POSITIVE_INFINITY];
  const counts = bounds.map(() => 0);
  let sum = 0;
  for (const moment of moments) {
    const calls = moment.scenario === "no traffic" ? 0 : 60;
    const middle = moment.broken && labels["path"] !== "legacy" ? 1 : 0.1;
    for (let call = 0; call < calls; call += 1) {
      const seconds = middle * 4 ** (2 * moment.random.next() - 1);
      sum += seconds;
      for (const [index, bound] of bounds.entries()) {
        if (seconds <= bound) counts[index] = (counts[index] ?? 0) + 1;
      }
    }
    const at = historyStart + moment.at;
    for (const [index, bound] of bounds.entries()) {
      const le = Number.isFinite(bound) ? bound : "+Inf";
      lines.push(
        `${metric.name}_bucket{${printed({ ...labels, le: String(le) })}} ${counts[index]} ${at}`,
      );
    }
    lines.push(`${metric.name}_sum{${printed(labels)}} ${sum} ${at}`);
    lines.push(`${metric.name}_count{${printed(labels)}} ${counts.at(-1)} ${at}`);
  }
}
