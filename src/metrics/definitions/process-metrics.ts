import type { MemoryLimitSource } from "../../guard/memory/memory-sampler.ts";
import { paths } from "../../migration/call.ts";
import { type MetricDefinition, other } from "../metric.ts";

/** Metrics of the process and of this product itself. */
export type ProcessMetricId =
  | "admissionWaiting"
  | "admissionBytes"
  | "admissionLimit"
  | "shadowsInFlight"
  | "memoryLimit"
  | "memoryUsed"
  | "memoryUsedRatio"
  | "memorySource"
  | "memoryResident"
  | "memoryHeap"
  | "memoryHeapFloor"
  | "memoryArrayBuffers"
  | "backPressure"
  | "gcPause"
  | "eventLoop"
  | "internalErrors"
  | "overflow"
  | "buildInfo";

/** Where a memory limit may come from; `none` where nothing measures memory. */
const limits: Readonly<Record<MemoryLimitSource | "none", true>> = {
  "cgroup-v2": true,
  "cgroup-v1": true,
  constrained: true,
  configured: true,
  heap: true,
  none: true,
};

export const memorySources: readonly string[] = Object.keys(limits);

/** What is done while memory is short. */
export const pressureActions = ["shed-shadows", "hold"] as const;

/** Kinds of garbage collection, as Node.js names them. */
export const gcKinds = ["minor", "major", "incremental", "weakcb"] as const;

export const loopStates = ["active", "idle"] as const;

/** The parts of this product that report errors of their own. */
export const internalParts: readonly string[] = [
  "decide",
  "cost",
  "fallback",
  "observation",
  "operation-added",
  "latch.changed",
  "latch-store",
  "latch-store.changes",
  "on-answer",
  "shadow",
  "shadow.observation",
  "shadow.compared",
  "shadow.skipped",
  "mismatches",
  "recorder.append",
  "recorder.record",
  "guard.breached",
  "guard.budget",
  "guard.journal",
  "guard.memory",
  "guard.tick",
  "guard.verdict-changed",
  "flags",
  "fleet",
  "rollout",
  "metrics",
  other,
];

const once = { perOperation: false } as const;
const path = { path: paths } as const;

export const processMetrics: Readonly<Record<ProcessMetricId, MetricDefinition>> = {
  admissionWaiting: {
    name: "changeover_admission_waiting_calls",
    help: "Calls that wait until the memory they declare is free.",
    type: "gauge",
    ...once,
    labels: path,
  },
  admissionBytes: {
    name: "changeover_admission_claimed_bytes",
    help: "Declared memory of the calls that were let in.",
    type: "gauge",
    ...once,
    labels: path,
  },
  admissionLimit: {
    name: "changeover_admission_limit_bytes",
    help: "Declared memory that calls may have together.",
    type: "gauge",
    ...once,
    labels: path,
  },
  shadowsInFlight: {
    name: "changeover_shadows_in_flight",
    help: "Shadows that wait or run.",
    type: "gauge",
    ...once,
    labels: {},
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
    help: "Memory this process uses, as counted against its limit; 0 when unknown.",
    type: "gauge",
    ...once,
    labels: {},
  },
  memoryUsedRatio: {
    name: "changeover_memory_used_ratio",
    help: "Used memory over its limit, the highest of all that apply; 1 is the end, 0 unknown.",
    type: "gauge",
    ...once,
    labels: {},
  },
  memorySource: {
    name: "changeover_memory_limit_source",
    help: "1 for where the memory limit was found.",
    type: "gauge",
    ...once,
    labels: { source: memorySources },
  },
  memoryResident: {
    name: "changeover_memory_resident_bytes",
    help: "Resident set of the process; it does not shrink when memory is freed.",
    type: "gauge",
    ...once,
    labels: {},
  },
  memoryHeap: {
    name: "changeover_memory_heap_bytes",
    help: "Used JavaScript heap, garbage included.",
    type: "gauge",
    ...once,
    labels: {},
  },
  memoryHeapFloor: {
    name: "changeover_memory_heap_floor_bytes",
    help: "Heap and buffers that the last major garbage collection left; 0 before the first.",
    type: "gauge",
    ...once,
    labels: {},
  },
  memoryArrayBuffers: {
    name: "changeover_memory_array_buffers_bytes",
    help: "Memory of buffers outside of the heap.",
    type: "gauge",
    ...once,
    labels: {},
  },
  backPressure: {
    name: "changeover_back_pressure",
    help: "1 while memory is short and this is done about it.",
    type: "gauge",
    ...once,
    labels: { action: pressureActions },
  },
  gcPause: {
    name: "changeover_gc_pause_seconds_total",
    help: "Time that garbage collection took.",
    type: "counter",
    ...once,
    labels: { kind: gcKinds },
  },
  eventLoop: {
    name: "changeover_event_loop_seconds_total",
    help: "Time that the event loop worked and waited; the share of active is its utilisation.",
    type: "counter",
    ...once,
    labels: { state: loopStates },
  },
  internalErrors: {
    name: "changeover_internal_errors_total",
    help: "Errors of changeover itself that callers did not see, by the part that failed.",
    type: "counter",
    ...once,
    labels: { part: internalParts },
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
