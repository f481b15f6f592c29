import { type DashboardJson, datasource, panelsOf, type RowSpec } from "./panel.ts";

// What the panels select: the operations picked above the dashboard, and the calls somebody waited for.
const of = 'operation=~"$operation"';
const served = `${of}, source="served"`;
const bad = 'outcome=~"failed|timed-out"';

const rate = (selector: string): string => `rate(${selector}[$__rate_interval])`;
const sumBy = (labels: string, inner: string): string => `sum by (${labels}) (${inner})`;
const perSecond = (labels: string, metric: string): string => sumBy(labels, rate(metric));
/** A share that is absent, and not NaN, where nothing happened. */
const share = (part: string, whole: string): string => `${part} / (${whole} > 0)`;
const quantile = (q: number, metric: string): string =>
  `histogram_quantile(${q}, ${perSecond("le, operation, path", metric)})`;
const duration = `changeover_call_duration_seconds_bucket{${served}}`;
const firstByte = `changeover_time_to_first_byte_seconds_bucket{${of}}`;

const byPath = "{{operation}} {{path}}";
const byReason = "{{operation}} {{reason}}";
const byResult = "{{operation}} {{result}}";

const state: RowSpec = {
  title: "Where we are",
  height: 4,
  panels: [
    {
      title: "Latch",
      description: "Tripped: every call goes to legacy until a person re-arms it.",
      ...{ type: "stat", unit: "short" },
      queries: [
        { expr: `max by (operation) (changeover_latch_tripped{${of}})`, legend: "{{operation}}" },
      ],
      states: [
        { value: 0, text: "armed", color: "green" },
        { value: 1, text: "tripped", color: "red" },
      ],
    },
    {
      title: "Flag",
      description: "The share of keys that the flags send to the candidate.",
      ...{ type: "stat", unit: "percent", max: 100 },
      queries: [
        { expr: `max by (operation) (changeover_flag_percentage{${of}})`, legend: "{{operation}}" },
      ],
    },
    {
      title: "Calls on the candidate",
      description: "The share of calls that really went there.",
      ...{ type: "stat", unit: "percentunit", max: 1 },
      queries: [
        {
          expr: share(
            perSecond("operation", `changeover_decisions_total{${of}, path="candidate"}`),
            perSecond("operation", `changeover_decisions_total{${of}}`),
          ),
          legend: "{{operation}}",
        },
      ],
    },
    {
      title: "Age of the flags",
      description:
        "Of the instance whose flags are oldest. Beyond the limit new calls go to legacy.",
      ...{ type: "stat", unit: "s" },
      queries: [
        {
          expr: "time() - min(changeover_flags_last_refresh_timestamp_seconds > 0)",
          legend: "oldest",
        },
      ],
    },
    {
      title: "Instances",
      description: "How many run, by version.",
      ...{ type: "stat", unit: "short" },
      queries: [
        {
          expr: "count by (version, node) (changeover_build_info)",
          legend: "{{version}} on {{node}}",
        },
      ],
    },
  ],
};

const paths: RowSpec = {
  title: "Both paths",
  height: 8,
  panels: [
    {
      title: "Runs",
      description: "Served runs on each path.",
      ...{ type: "timeseries", unit: "reqps" },
      queries: [
        { expr: perSecond("operation, path", `changeover_calls_total{${served}}`), legend: byPath },
      ],
    },
    {
      title: "Failures",
      description: "Share of served runs that failed or timed out. Compare the two lines, not one.",
      ...{ type: "timeseries", unit: "percentunit" },
      queries: [
        {
          expr: share(
            perSecond("operation, path", `changeover_calls_total{${served}, ${bad}}`),
            perSecond("operation, path", `changeover_calls_total{${served}}`),
          ),
          legend: byPath,
        },
      ],
    },
    {
      title: "Duration",
      description: "Median and 95th percentile; of streams to the end of the body.",
      ...{ type: "timeseries", unit: "s" },
      queries: [
        { expr: quantile(0.5, duration), legend: `${byPath} p50` },
        { expr: quantile(0.95, duration), legend: `${byPath} p95` },
      ],
    },
    {
      title: "First byte",
      description: "95th percentile of the time to a stream's first byte.",
      ...{ type: "timeseries", unit: "s" },
      queries: [{ expr: quantile(0.95, firstByte), legend: `${byPath} p95` }],
    },
  ],
};

const routing: RowSpec = {
  title: "Routing",
  height: 8,
  panels: [
    {
      title: "Decisions",
      description: "Why calls went where they went.",
      ...{ type: "timeseries", unit: "reqps" },
      queries: [
        {
          expr: perSecond("operation, path, reason", `changeover_decisions_total{${of}}`),
          legend: "{{operation}} {{path}} {{reason}}",
        },
      ],
    },
    {
      title: "Fallbacks",
      description:
        "Calls that the candidate failed: answered by legacy, failed there too, or denied.",
      ...{ type: "timeseries", unit: "reqps" },
      queries: [
        {
          expr: perSecond("operation, result", `changeover_fallbacks_total{${of}}`),
          legend: byResult,
        },
      ],
    },
    {
      title: "Bytes served",
      description: "Bytes of streams that reached callers.",
      ...{ type: "timeseries", unit: "Bps" },
      queries: [
        { expr: perSecond("operation, path", `changeover_bytes_total{${of}}`), legend: byPath },
      ],
    },
    {
      title: "In flight",
      description: "Runs that are going on, and runs past their deadline whose work has not ended.",
      ...{ type: "timeseries", unit: "short" },
      queries: [
        { expr: sumBy("operation, path", `changeover_in_flight_calls{${of}}`), legend: byPath },
        {
          expr: sumBy("operation, path", `changeover_abandoned_calls{${of}}`),
          legend: `${byPath} abandoned`,
        },
      ],
    },
  ],
};

const shadow: RowSpec = {
  title: "Shadow",
  height: 8,
  panels: [
    {
      title: "Agreement",
      description: "Share of comparable shadows that gave the same result.",
      ...{ type: "timeseries", unit: "percentunit", max: 1 },
      queries: [
        {
          expr: share(
            perSecond("operation", `changeover_shadow_runs_total{${of}, result="same"}`),
            perSecond("operation", `changeover_shadow_runs_total{${of}, result=~"same|different"}`),
          ),
          legend: "{{operation}}",
        },
      ],
    },
    {
      title: "Shadows",
      description: "What comparing them said.",
      ...{ type: "timeseries", unit: "reqps" },
      queries: [
        {
          expr: perSecond("operation, result", `changeover_shadow_runs_total{${of}}`),
          legend: byResult,
        },
      ],
    },
    {
      title: "Differences",
      description: "By kind. Where they are is in the mismatch log of each instance.",
      ...{ type: "timeseries", unit: "reqps" },
      queries: [
        {
          expr: perSecond("operation, kind", `changeover_mismatches_total{${of}}`),
          legend: "{{operation}} {{kind}}",
        },
      ],
    },
    {
      title: "Skipped",
      description: "Calls that were picked for shadowing and not shadowed.",
      ...{ type: "timeseries", unit: "reqps" },
      queries: [
        {
          expr: perSecond("operation, reason", `changeover_shadow_skipped_total{${of}}`),
          legend: byReason,
        },
      ],
    },
  ],
};

const guard: RowSpec = {
  title: "Guard",
  height: 8,
  panels: [
    {
      title: "Verdicts that hold or roll back",
      description: "Instances whose rule is suspect, breached or blind; empty when all is well.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${sumBy("operation, rule, verdict", `changeover_verdict{${of}, verdict=~"suspect|breached|blind"}`)} > 0`,
          legend: "{{operation}} {{rule}} {{verdict}}",
        },
      ],
    },
    {
      title: "Distance to the limits",
      description: "What each rule observes, as a share of its limit: at 100 % it is breached.",
      ...{ type: "timeseries", unit: "percentunit" },
      queries: [
        {
          expr: `max by (operation, rule) (changeover_rule_observed{${of}} / (changeover_rule_limit{${of}} > 0))`,
          legend: "{{operation}} {{rule}}",
        },
      ],
    },
    {
      title: "Rollbacks",
      description: "By what started them and how they ended, and how often latches tripped.",
      ...{ type: "timeseries", unit: "short" },
      queries: [
        {
          expr: sumBy(
            "operation, rule, result",
            `increase(changeover_rollbacks_total{${of}}[$__rate_interval])`,
          ),
          legend: "{{operation}} {{rule}} {{result}}",
        },
        {
          expr: `changes(changeover_latch_epoch{${of}}[$__rate_interval])`,
          legend: "{{operation}} tripped on {{instance}}",
        },
      ],
    },
  ],
};

const instances: RowSpec = {
  title: "Instances",
  height: 8,
  panels: [
    {
      title: "Memory",
      description: "Used, against the limit.",
      ...{ type: "timeseries", unit: "bytes" },
      queries: [
        { expr: "changeover_memory_used_bytes", legend: "{{instance}} used" },
        { expr: "changeover_memory_limit_bytes > 0", legend: "{{instance}} limit" },
      ],
    },
    {
      title: "Declared memory in flight",
      description: "What the calls in flight say they need, on each path.",
      ...{ type: "timeseries", unit: "bytes" },
      queries: [
        { expr: sumBy("operation, path", `changeover_in_flight_bytes{${of}}`), legend: byPath },
      ],
    },
    {
      title: "Our own trouble",
      description:
        "Errors that callers did not see, problems with flags, operations without a label.",
      ...{ type: "timeseries", unit: "short" },
      queries: [
        {
          expr: `${sumBy("part", "increase(changeover_internal_errors_total[$__rate_interval])")} > 0`,
          legend: "errors in {{part}}",
        },
        { expr: "max(changeover_flag_problems)", legend: "flag problems" },
        { expr: "max(changeover_operations_overflow_total)", legend: "operations without a label" },
      ],
    },
  ],
};

const pickDatasource = {
  ...{ name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
  ...{ refresh: 1, hide: 0, multi: false, includeAll: false },
};
const pickOperation = {
  ...{ name: "operation", label: "Operation", type: "query", refresh: 2, hide: 0, sort: 1 },
  datasource,
  query: { query: "label_values(changeover_latch_tripped, operation)", refId: "operations" },
  definition: "label_values(changeover_latch_tripped, operation)",
  ...{ multi: true, includeAll: true, allValue: ".*", current: { text: "All", value: "$__all" } },
};

/** The dashboard of a rollout, in Grafana's classic JSON schema. */
export const rolloutDashboard: DashboardJson = {
  ...{ id: null, uid: "changeover-rollout", title: "changeover: rollout", tags: ["changeover"] },
  description: "Legacy and candidate next to each other: routing, failures, shadow, guard, memory.",
  ...{ schemaVersion: 39, version: 1, editable: true, timezone: "", refresh: "10s" },
  time: { from: "now-1h", to: "now" },
  templating: { list: [pickDatasource, pickOperation] },
  annotations: {
    list: [
      {
        ...{ name: "Latch tripped", enable: true, iconColor: "red", type: "tags" },
        datasource,
        expr: `changes(changeover_latch_epoch{${of}}[1m]) > 0`,
        ...{ titleFormat: "Latch tripped", textFormat: "{{operation}} on {{instance}}" },
      },
    ],
  },
  panels: panelsOf([state, paths, routing, shadow, guard, instances]),
};
