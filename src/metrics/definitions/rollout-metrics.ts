import { type GateName, type GateState, rolloutStates } from "../../rollout/status.ts";
import type { MetricDefinition } from "../metric.ts";

/** Metrics of flags, rollouts, their controller and the fleet. */
export type RolloutMetricId =
  | "flagPercentage"
  | "flagShadowPercentage"
  | "flagsState"
  | "flagsLastRefresh"
  | "flagsRevision"
  | "flagProblems"
  | "rolloutState"
  | "rolloutStage"
  | "rolloutStages"
  | "rolloutPercentage"
  | "rolloutHoldLeft"
  | "rolloutSamples"
  | "rolloutSamplesNeeded"
  | "rolloutGate"
  | "controllerLeader"
  | "controllerEvaluated"
  | "fleetConnected"
  | "fleetInstances"
  | "fleetRevisions"
  | "fleetLatched";

/** How far flags can be trusted. */
export const flagsStates = ["never", "fresh", "stale"] as const;

/** Every gate a stage may have. The type sees to it that none is forgotten. */
const gates: Readonly<Record<GateName, true>> = {
  latch: true,
  flag: true,
  instances: true,
  verdict: true,
  "hold-time": true,
  samples: true,
  "error-rate": true,
  "success-rate": true,
  latency: true,
  drill: true,
  "earlier-operations": true,
  window: true,
  approval: true,
};

export const gateNames: readonly GateName[] = Object.keys(gates) as GateName[];

export const gateStates: readonly GateState[] = ["passed", "waiting", "holding"];

/** Instances heard of within the last seconds, and those only heard of within the last hour. */
export const instanceStates = ["live", "gone"] as const;

const each = { perOperation: true } as const;
const once = { perOperation: false } as const;

const perOperation = {
  flagPercentage: {
    name: "changeover_flag_percentage",
    help: "Share of keys that the flag sends to the candidate, 0 to 100; 0 while it is off.",
    type: "gauge",
    ...each,
    labels: {},
  },
  flagShadowPercentage: {
    name: "changeover_flag_shadow_percentage",
    help: "Share of keys whose calls are shadowed, 0 to 100.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rolloutState: {
    name: "changeover_rollout_state",
    help: "1 for the state the rollout is in; all 0 where this process knows of none.",
    type: "gauge",
    ...each,
    labels: { state: rolloutStates },
  },
  rolloutStage: {
    name: "changeover_rollout_stage",
    help: "The stage the rollout is at, counted from 1; 0 when it was never started.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rolloutStages: {
    name: "changeover_rollout_stages",
    help: "How many stages the plan has.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rolloutPercentage: {
    name: "changeover_rollout_percentage",
    help: "What the rollout wants the flag to say, 0 to 100.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rolloutHoldLeft: {
    name: "changeover_rollout_hold_left_seconds",
    help: "How long the present stage is still held.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rolloutSamples: {
    name: "changeover_rollout_samples",
    help: "Calls of the candidate (comparisons, at 0 %) that the present stage rests on.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rolloutSamplesNeeded: {
    name: "changeover_rollout_samples_needed",
    help: "Calls that the present stage asks for.",
    type: "gauge",
    ...each,
    labels: {},
  },
  rolloutGate: {
    name: "changeover_rollout_gate",
    help: "1 for what a gate of the present stage says; all 0 for a gate that is not asked.",
    type: "gauge",
    ...each,
    labels: { gate: gateNames, state: gateStates },
  },
  fleetLatched: {
    name: "changeover_fleet_latched_instances",
    help: "Live instances whose latch is tripped, as this one knows them.",
    type: "gauge",
    ...each,
    labels: {},
  },
} as const satisfies Partial<Record<RolloutMetricId, MetricDefinition>>;

export const rolloutMetrics: Readonly<Record<RolloutMetricId, MetricDefinition>> = {
  ...perOperation,
  flagsState: {
    name: "changeover_flags_state",
    help: "1 for how far the flags can be trusted: never loaded, fresh, or stale.",
    type: "gauge",
    ...once,
    labels: { state: flagsStates },
  },
  flagsLastRefresh: {
    name: "changeover_flags_last_refresh_timestamp_seconds",
    help: "When the flags were last confirmed, in seconds since the Unix epoch; 0 for never.",
    type: "gauge",
    ...once,
    labels: {},
  },
  flagsRevision: {
    name: "changeover_flags_revision_info",
    help: "1; the label stands for what the flags say, and is equal where they say the same.",
    type: "gauge",
    ...once,
    labels: { revision: [] },
  },
  flagProblems: {
    name: "changeover_flag_problems",
    help: "Things wrong with the flags that did not stop them from working.",
    type: "gauge",
    ...once,
    labels: {},
  },
  controllerLeader: {
    name: "changeover_controller_leader",
    help: "1 in the instance that leads the rollouts.",
    type: "gauge",
    ...once,
    labels: {},
  },
  controllerEvaluated: {
    name: "changeover_controller_last_evaluation_timestamp_seconds",
    help: "When this process last looked at a rollout's gates, in seconds since the Unix epoch; 0 for never.",
    type: "gauge",
    ...once,
    labels: {},
  },
  fleetConnected: {
    name: "changeover_fleet_connected",
    help: "1 while this instance can be told of a latch of the whole fleet.",
    type: "gauge",
    ...once,
    labels: {},
  },
  fleetInstances: {
    name: "changeover_fleet_instances",
    help: "Instances as this one knows them; gone: not heard of for seconds, but within the hour.",
    type: "gauge",
    ...once,
    labels: { state: instanceStates },
  },
  fleetRevisions: {
    name: "changeover_fleet_flag_revisions",
    help: "Different revisions of the flags among live instances, as this one knows them.",
    type: "gauge",
    ...once,
    labels: {},
  },
};
