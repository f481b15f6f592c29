import type { DashboardSpec, RowSpec } from "./panel.ts";
import { line, lines, stat } from "./panel-kinds.ts";
import { age, bad, maxBy, perSecond, picked, quantile, served, share, sumBy } from "./query.ts";
import { gates, routing, shadow } from "./rollout-details.ts";

const duration = `changeover_call_duration_seconds_bucket{${served}}`;
const byOperation = "{{operation}}";
const byPath = "{{operation}} {{path}}";

const onCandidate = share(
  perSecond("operation", `changeover_decisions_total{${picked}, path="candidate"}`),
  perSecond("operation", `changeover_decisions_total{${picked}}`),
);

const state: RowSpec = {
  title: "Where we are",
  height: 4,
  panels: [
    {
      title: "Latch",
      description: "Tripped: every call goes to legacy until a person re-arms it.",
      ...{ type: "stat", unit: "short" },
      queries: [
        {
          expr: maxBy("operation", `changeover_latch_tripped{${picked}}`),
          legend: byOperation,
        },
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
        {
          expr: maxBy("operation", `changeover_flag_percentage{${picked}}`),
          legend: byOperation,
        },
      ],
    },
    {
      title: "Calls on the candidate",
      description: "The share of calls that really went there.",
      ...{ type: "stat", unit: "percentunit", max: 1 },
      queries: [{ expr: onCandidate, legend: byOperation }],
    },
    stat("Stage", "short", "Where the plan stands; 0: no rollout was started.", [
      {
        expr: maxBy("operation", `changeover_rollout_stage{${picked}}`),
        legend: `${byOperation} at`,
      },
      {
        expr: maxBy("operation", `changeover_rollout_stages{${picked}}`),
        legend: `${byOperation} of`,
      },
    ]),
    stat("Stage held for", "s", "How long the present stage is still held, at least.", [
      {
        expr: maxBy("operation", `changeover_rollout_hold_left_seconds{${picked}}`),
        legend: byOperation,
      },
    ]),
    stat("Last rollback", "s", "How long ago; empty when there never was one.", [
      {
        expr: age("operation", `changeover_last_rollback_timestamp_seconds{${picked}}`),
        legend: byOperation,
      },
    ]),
  ],
};

const story: RowSpec = {
  title: "Both paths",
  height: 7,
  panels: [
    {
      title: "Share on the candidate",
      description: "What the rollout wants, what the flags say, and where calls really went.",
      ...{ type: "timeseries", unit: "percent", max: 100 },
      queries: [
        {
          expr: maxBy("operation", `changeover_rollout_percentage{${picked}}`),
          legend: "{{operation}} wanted",
        },
        {
          expr: maxBy("operation", `changeover_flag_percentage{${picked}}`),
          legend: "{{operation}} flag",
        },
        { expr: `100 * ${onCandidate}`, legend: "{{operation}} calls" },
      ],
    },
    line(
      "Runs",
      "reqps",
      [perSecond("operation, path", `changeover_calls_total{${served}}`), byPath],
      "Served runs on each path.",
    ),
    line(
      "Failures",
      "percentunit",
      [
        share(
          perSecond("operation, path", `changeover_calls_total{${served}, ${bad}}`),
          perSecond("operation, path", `changeover_calls_total{${served}}`),
        ),
        byPath,
      ],
      "Share of served runs that failed or timed out. Compare the two lines, not one.",
    ),
    lines("Duration", "s", "Median and 95th percentile; of streams to the end of the body.", [
      { expr: quantile(0.5, "operation, path", duration), legend: `${byPath} p50` },
      { expr: quantile(0.95, "operation, path", duration), legend: `${byPath} p95` },
    ]),
    line(
      "Memory in flight",
      "bytes",
      [sumBy("operation, path", `changeover_in_flight_bytes{${picked}}`), byPath],
      "What the calls in flight say they need, on each path.",
    ),
  ],
};

const guard: RowSpec = {
  title: "Guard",
  height: 7,
  panels: [
    {
      title: "Distance to the limits",
      description: "What each rule observes, as a share of its limit: at 100 % it is breached.",
      ...{ type: "timeseries", unit: "percentunit", redFrom: 1 },
      queries: [
        {
          expr: maxBy(
            "operation, rule",
            `changeover_rule_observed{${picked}} / (changeover_rule_limit{${picked}} > 0)`,
          ),
          legend: "{{operation}} {{rule}}",
        },
      ],
    },
    {
      title: "Verdicts that hold or roll back",
      description: "Instances whose rule is suspect, breached or blind; empty when all is well.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${sumBy("operation, rule, verdict", `changeover_verdict{${picked}, verdict=~"suspect|breached|blind"}`)} > 0`,
          legend: "{{operation}} {{rule}} {{verdict}}",
        },
      ],
    },
    lines("Rollbacks", "short", "By what started them and how they ended.", [
      {
        expr: sumBy(
          "operation, rule, result",
          `increase(changeover_rollbacks_total{${picked}}[$__rate_interval])`,
        ),
        legend: "{{operation}} {{rule}} {{result}}",
      },
    ]),
    line(
      "How long rollbacks take",
      "s",
      [
        `histogram_quantile(0.95, ${sumBy("le, part", `increase(changeover_rollback_duration_seconds_bucket{${picked}}[$__range])`)}) >= 0`,
        "{{part}} p95",
      ],
      "From the breach to the tripped latch, to the confirmed flag, and in all.",
    ),
    line(
      "Changes of verdict",
      "short",
      [
        `${sumBy(
          "operation, rule, verdict",
          `increase(changeover_verdict_changes_total{${picked}, rule!="other"}[$__rate_interval])`,
        )} > 0`,
        "{{operation}} {{rule}} {{verdict}}",
      ],
      "A rule that goes to and fro is close to its limit.",
    ),
  ],
};

/** The story of a rollout in one screen; what explains it is below. */
export const rolloutDashboard: DashboardSpec = {
  uid: "changeover-rollout",
  title: "rollout",
  description: "Legacy and candidate next to each other: share, failures, latency, memory, guard.",
  byOperation: true,
  rows: [state, story, guard, gates, routing, shadow],
  annotations: [
    {
      title: "Stage",
      expr: `${maxBy("operation", `changes(changeover_rollout_stage{${picked}}[1m])`)} > 0`,
      text: "{{operation}} entered another stage",
      color: "blue",
    },
    {
      title: "Rollback",
      expr: `${sumBy("operation, rule", `increase(changeover_rollbacks_total{${picked}}[1m])`)} > 0`,
      text: "{{operation}} was rolled back: {{rule}}",
      color: "red",
    },
    {
      title: "Latch tripped",
      expr: `changes(changeover_latch_epoch{${picked}}[1m]) > 0`,
      text: "{{operation}} on {{instance}}",
      color: "orange",
    },
  ],
};
