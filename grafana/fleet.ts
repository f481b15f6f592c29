import type { DashboardSpec, RowSpec } from "./panel.ts";
import { lines, stat } from "./panel-kinds.ts";
import { age, maxBy, perSecond, picked, share, sumBy } from "./query.ts";

const byInstance = "{{instance}}";

const instances: RowSpec = {
  title: "Instances",
  height: 5,
  panels: [
    stat("Running", "short", "How many are scraped, by version.", [
      {
        expr: "count by (version, node) (changeover_build_info)",
        legend: "{{version}} on {{node}}",
      },
    ]),
    stat("Known to each other", "short", "As the instance that knows most of them sees it.", [
      { expr: maxBy("state", "changeover_fleet_instances"), legend: "{{state}}" },
    ]),
    stat("Cut off", "short", "Instances that cannot be told of a latch of the whole fleet.", [
      {
        expr: "count(changeover_fleet_connected) - sum(changeover_fleet_connected)",
        legend: "cut off",
      },
    ]),
    stat("Latched", "short", "Instances whose own latch is tripped, and as they know of others.", [
      {
        expr: sumBy("operation", `changeover_latch_tripped{${picked}}`),
        legend: "{{operation}}",
      },
      {
        expr: maxBy("operation", `changeover_fleet_latched_instances{${picked}}`),
        legend: "{{operation}} as reported",
      },
    ]),
  ],
};

const flags: RowSpec = {
  title: "Flags",
  height: 7,
  panels: [
    stat("Revisions", "short", "Instances by what their flags say: one line when they agree.", [
      {
        expr: "count by (revision) (changeover_flags_revision_info == 1)",
        legend: "{{revision}}",
      },
      {
        expr: "max(changeover_fleet_flag_revisions)",
        legend: "different revisions as reported",
      },
    ]),
    lines("Percentage", "percent", "What the flags of each instance say.", [
      {
        expr: maxBy("operation, instance", `changeover_flag_percentage{${picked}}`),
        legend: "{{operation}} {{instance}}",
      },
    ]),
    lines("Age", "s", "Time since the flags of an instance were confirmed.", [
      {
        expr: age("instance", "changeover_flags_last_refresh_timestamp_seconds"),
        legend: byInstance,
      },
    ]),
    {
      title: "Not fresh",
      description: "Flags that were never loaded, or are stale; empty when all are fresh.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${maxBy("instance, state", 'changeover_flags_state{state!="fresh"}')} == 1`,
          legend: "{{instance}} {{state}}",
        },
      ],
    },
    lines("Problems", "short", "Things wrong with the flags that did not stop them.", [
      { expr: maxBy("instance", "changeover_flag_problems"), legend: byInstance },
    ]),
  ],
};

const controller: RowSpec = {
  title: "Controller",
  height: 6,
  panels: [
    {
      title: "Leader",
      description: "Exactly one instance leads; none: nothing moves; two: somebody must look.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: maxBy("instance", "changeover_controller_leader"),
          legend: byInstance,
        },
      ],
      states: [
        { value: 0, text: "follows", color: "text" },
        { value: 1, text: "leads", color: "green" },
      ],
    },
    stat("Gates looked at", "s", "How long ago, by the instance that did it last.", [
      {
        expr: "time() - max(changeover_controller_last_evaluation_timestamp_seconds > 0)",
        legend: "ago",
      },
    ]),
    {
      title: "Rollouts",
      description: "The state of each.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${maxBy("operation, state", `changeover_rollout_state{${picked}}`)} == 1`,
          legend: "{{operation}} {{state}}",
        },
      ],
    },
  ],
};

const memory: RowSpec = {
  title: "Memory",
  height: 7,
  panels: [
    {
      ...lines("Used", "percentunit", "Of what the process may use: the end is at 100 %.", [
        { expr: maxBy("instance", "changeover_memory_used_ratio"), legend: byInstance },
      ]),
      ...{ max: 1, redFrom: 0.92 },
    },
    lines("Bytes", "bytes", "As counted against the limit, and the limit.", [
      { expr: maxBy("instance", "changeover_memory_used_bytes"), legend: "{{instance}} used" },
      {
        expr: `${maxBy("instance", "changeover_memory_limit_bytes")} > 0`,
        legend: "{{instance}} limit",
      },
    ]),
    lines("Kinds", "bytes", "Resident set, heap, buffers, and what major collections leave.", [
      { expr: maxBy("instance", "changeover_memory_resident_bytes"), legend: "{{instance}} rss" },
      { expr: maxBy("instance", "changeover_memory_heap_bytes"), legend: "{{instance}} heap" },
      {
        expr: maxBy("instance", "changeover_memory_array_buffers_bytes"),
        legend: "{{instance}} buffers",
      },
      {
        expr: maxBy("instance", "changeover_memory_heap_floor_bytes"),
        legend: "{{instance}} floor",
      },
    ]),
    {
      title: "Back-pressure",
      description: "What is done while memory is short; empty when it is not.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${maxBy("instance, action", "changeover_back_pressure")} == 1`,
          legend: "{{instance}} {{action}}",
        },
      ],
    },
    stat("Limit from", "short", "Instances by where their memory limit was found.", [
      {
        expr: "count by (source) (changeover_memory_limit_source == 1)",
        legend: "{{source}}",
      },
    ]),
  ],
};

const load: RowSpec = {
  title: "Load",
  height: 7,
  panels: [
    {
      ...lines("Event loop", "percentunit", "Share of the time that it was busy.", [
        {
          expr: share(
            perSecond("instance", 'changeover_event_loop_seconds_total{state="active"}'),
            perSecond("instance", "changeover_event_loop_seconds_total"),
          ),
          legend: byInstance,
        },
      ]),
      ...{ max: 1, redFrom: 0.95 },
    },
    lines("Garbage collection", "percentunit", "Share of the time that it took, by kind.", [
      {
        expr: perSecond("instance, kind", "changeover_gc_pause_seconds_total"),
        legend: "{{instance}} {{kind}}",
      },
    ]),
    lines("Waiting for memory", "short", "Calls that wait until the memory they need is free.", [
      {
        expr: sumBy("instance, path", "changeover_admission_waiting_calls"),
        legend: "{{instance}} {{path}}",
      },
    ]),
    {
      ...lines("Memory let in", "percentunit", "Declared memory, as a share of what is allowed.", [
        {
          expr: share(
            maxBy("instance, path", "changeover_admission_claimed_bytes"),
            maxBy("instance, path", "changeover_admission_limit_bytes"),
          ),
          legend: "{{instance}} {{path}}",
        },
      ]),
    },
    lines("Our own trouble", "short", "Errors that callers did not see, and operations too many.", [
      {
        expr: `${sumBy("instance, part", "increase(changeover_internal_errors_total[$__rate_interval])")} > 0`,
        legend: "{{instance}} {{part}}",
      },
      {
        expr: maxBy("instance", "changeover_operations_overflow_total"),
        legend: "{{instance}} operations without a label",
      },
    ]),
  ],
};

/** The instances, what their flags say, who leads, and how they are. */
export const fleetDashboard: DashboardSpec = {
  uid: "changeover-fleet",
  title: "fleet",
  description: "Instances, revisions of the flags, the controller, memory and load.",
  byOperation: true,
  rows: [instances, flags, controller, memory, load],
  annotations: [],
};
