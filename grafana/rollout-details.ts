import type { RowSpec } from "./panel.ts";
import { line, lines } from "./panel-kinds.ts";
import { maxBy, perSecond, picked, quantile, share, sumBy } from "./query.ts";

const firstByte = `changeover_time_to_first_byte_seconds_bucket{${picked}}`;
const byOperation = "{{operation}}";
const byPath = "{{operation}} {{path}}";

export const gates: RowSpec = {
  title: "Rollout",
  height: 7,
  panels: [
    {
      title: "State",
      description: "Of each operation's rollout.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${maxBy("operation, state", `changeover_rollout_state{${picked}}`)} == 1`,
          legend: "{{operation}} {{state}}",
        },
      ],
    },
    {
      title: "Gates that are not passed",
      description: "What the present stage waits for, and what holds it; empty when nothing does.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${maxBy("operation, gate, state", `changeover_rollout_gate{${picked}, state!="passed"}`)} == 1`,
          legend: "{{operation}} {{gate}} {{state}}",
        },
      ],
    },
    lines(
      "Samples of the stage",
      "short",
      "Calls that the stage rests on, and how many it asks for.",
      [
        {
          expr: maxBy("operation", `changeover_rollout_samples{${picked}}`),
          legend: "{{operation}}",
        },
        {
          expr: maxBy("operation", `changeover_rollout_samples_needed{${picked}}`),
          legend: "{{operation}} needed",
        },
      ],
    ),
  ],
};

export const routing: RowSpec = {
  title: "Routing",
  height: 7,
  panels: [
    line(
      "Decisions",
      "reqps",
      [
        perSecond("operation, path, reason", `changeover_decisions_total{${picked}}`),
        "{{operation}} {{path}} {{reason}}",
      ],
      "Why calls went where they went.",
    ),
    line(
      "Fallbacks",
      "reqps",
      [
        perSecond("operation, result", `changeover_fallbacks_total{${picked}}`),
        "{{operation}} {{result}}",
      ],
      "Calls that the candidate failed: answered by legacy, failed there too, or denied.",
    ),
    line(
      "Errors",
      "reqps",
      [
        `${perSecond("operation, path, type", `changeover_errors_total{${picked}}`)} > 0`,
        "{{operation}} {{path}} {{type}}",
      ],
      "Kinds of errors; empty when nothing fails.",
    ),
    line(
      "First byte",
      "s",
      [quantile(0.95, "operation, path", firstByte), `${byPath} p95`],
      "95th percentile of the time to a stream's first byte.",
    ),
    line(
      "Bytes served",
      "Bps",
      [perSecond("operation, path", `changeover_bytes_total{${picked}}`), byPath],
      "Bytes of streams that reached callers.",
    ),
    lines(
      "In flight",
      "short",
      "Runs that are going on, and runs past their deadline whose work has not ended.",
      [
        { expr: sumBy("operation, path", `changeover_in_flight_calls{${picked}}`), legend: byPath },
        {
          expr: sumBy("operation, path", `changeover_abandoned_calls{${picked}}`),
          legend: `${byPath} abandoned`,
        },
      ],
    ),
  ],
};

export const shadow: RowSpec = {
  title: "Shadow",
  height: 7,
  panels: [
    {
      title: "Agreement",
      description: "Share of comparable shadows that gave the same result.",
      ...{ type: "timeseries", unit: "percentunit", max: 1 },
      queries: [
        {
          expr: share(
            perSecond("operation", `changeover_shadow_runs_total{${picked}, result="same"}`),
            perSecond(
              "operation",
              `changeover_shadow_runs_total{${picked}, result=~"same|different"}`,
            ),
          ),
          legend: byOperation,
        },
      ],
    },
    line(
      "Shadows",
      "reqps",
      [
        perSecond("operation, result", `changeover_shadow_runs_total{${picked}}`),
        "{{operation}} {{result}}",
      ],
      "What comparing them said.",
    ),
    line(
      "Differences",
      "reqps",
      [
        perSecond("operation, kind", `changeover_mismatches_total{${picked}}`),
        "{{operation}} {{kind}}",
      ],
      "By kind. Where they are is in the mismatch log of each instance.",
    ),
    line(
      "Skipped",
      "reqps",
      [
        `${perSecond("operation, reason", `changeover_shadow_skipped_total{${picked}}`)} > 0`,
        "{{operation}} {{reason}}",
      ],
      "Calls that were picked for shadowing and not shadowed.",
    ),
    lines(
      "Keys shadowed",
      "short",
      "The share of keys whose calls are shadowed, and shadows that wait or run.",
      [
        {
          expr: maxBy("operation", `changeover_flag_shadow_percentage{${picked}}`),
          legend: "{{operation}} %",
        },
        { expr: "sum(changeover_shadows_in_flight)", legend: "in flight" },
      ],
    ),
  ],
};
