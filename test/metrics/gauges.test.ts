import { describe, expect, it } from "vitest";
import type { Verdict } from "../../src/guard/verdict.ts";
import { ProcessReadings } from "../../src/metrics/process-readings.ts";
import { MetricsRecorder } from "../../src/metrics/recorder.ts";
import type { InstanceStatus } from "../../src/migration/fleet.ts";
import { Operation } from "../../src/migration/operation.ts";
import type { RolloutStatus } from "../../src/rollout/status.ts";
import { countedBy, samplesOf } from "./exposition.ts";

const never = (): undefined => undefined;
const named = (name: string) =>
  new Operation({ name, kind: "read", legacy: never, candidate: never }, never);

/** A recorder that knows two operations. */
function recorderOf(): MetricsRecorder {
  const recorder = new MetricsRecorder();
  for (const name of ["a.a", "a.b"]) recorder.addOperation(named(name));
  return recorder;
}

const verdict = (rule: Verdict["rule"], kind: Verdict["kind"], observed: number): Verdict => ({
  ...{ operation: "a.a", rule, kind, observed, limit: 0.05, samples: 100 },
  ...{ action: kind === "breached" ? "rollback" : "none", page: false, applies: true },
  ...{ sinceMs: 0, sentence: "" },
});

describe("verdicts", () => {
  it("are read anew at every scrape, with the worst of them as overall", async () => {
    const recorder = recorderOf();
    let observed = 0.01;
    recorder.readFrom({
      verdicts: (operation) =>
        operation === "a.a"
          ? [verdict("error-rate", "breached", observed), verdict("latency", "healthy", 0.02)]
          : [],
    });
    expect(await countedBy(recorder, "verdict")).toEqual({
      "operation=a.a rule=error-rate verdict=breached": 1,
      "operation=a.a rule=latency verdict=healthy": 1,
      "operation=a.a rule=overall verdict=breached": 1,
      "operation=a.b rule=overall verdict=inconclusive": 1,
    });
    observed = 0.5;
    expect(await countedBy(recorder, "rule_observed")).toEqual({
      "operation=a.a rule=error-rate": 0.5,
      "operation=a.a rule=latency": 0.02,
    });
    expect(await countedBy(recorder, "rule_limit")).toEqual({
      "operation=a.a rule=error-rate": 0.05,
      "operation=a.a rule=latency": 0.05,
    });
  });
});

describe("flags", () => {
  const flagsSaying = (percentages: Readonly<Record<string, number>>) => ({
    freshness: () => ({ state: "stale" as const, lastRefreshMs: 7000 }),
    problems: () => [],
    state: (operation: string) => ({
      ...{ operation, enabled: true, percentage: percentages[operation] ?? 0 },
      ...{ shadowPercentage: 5, origin: "test" },
    }),
  });
  const revisionOf = async (recorder: MetricsRecorder): Promise<string[]> =>
    Object.keys(await countedBy(recorder, "flags_revision_info"));

  it("have one revision at a time, equal where they say the same", async () => {
    const recorder = recorderOf();
    const another = recorderOf();
    const percentages: Record<string, number> = { "a.a": 10, "a.b": 0 };
    recorder.readFrom({ flags: flagsSaying(percentages) });
    another.readFrom({ flags: flagsSaying({ ...percentages }) });
    const before = await revisionOf(recorder);
    expect(before).toHaveLength(1);
    expect(await revisionOf(another)).toEqual(before);
    percentages["a.a"] = 50;
    const after = await revisionOf(recorder);
    expect(after).toHaveLength(1);
    expect(after).not.toEqual(before);
    recorder.readFrom({ flagRevision: () => "42" });
    expect(await revisionOf(recorder)).toEqual(["revision=42"]);
  });

  it("say how far they can be trusted", async () => {
    const recorder = recorderOf();
    recorder.readFrom({ flags: flagsSaying({}) });
    expect(await countedBy(recorder, "flags_state")).toEqual({ "state=stale": 1 });
    expect(await countedBy(recorder, "flag_shadow_percentage")).toEqual({
      "operation=a.a": 5,
      "operation=a.b": 5,
    });
  });
});

const status: RolloutStatus = {
  ...{ operation: "a.a", state: "held", plan: "strict", stage: 1 },
  stages: [1, 10, 100].map((percentage) => ({
    ...{ percentage, shadowPercentage: 0, holdSeconds: 60, samples: 100, approval: false },
  })),
  ...{ expectedPercentage: 10, actualPercentage: 10, since: null, stageSince: null },
  ...{ holdLeftMs: 30_000, samples: 40, samplesNeeded: 100 },
  gates: [
    { name: "latch", state: "passed", sentence: "" },
    { name: "samples", state: "waiting", sentence: "" },
  ],
  leader: { holder: "one", epoch: 3, self: true },
  ...{ evaluatedAt: "1970-01-01T00:01:40.000Z", why: "" },
};

describe("a rollout", () => {
  it("shows its state, stage, gates and who leads", async () => {
    const recorder = recorderOf();
    recorder.readFrom({ rollout: () => [status] });
    expect(await countedBy(recorder, "rollout_state")).toEqual({ "operation=a.a state=held": 1 });
    expect(await countedBy(recorder, "rollout_gate")).toEqual({
      "gate=latch operation=a.a state=passed": 1,
      "gate=samples operation=a.a state=waiting": 1,
    });
    const samples = samplesOf(await recorder.text());
    const of = (name: string) => samples.get(`changeover_${name} operation=a.a`);
    expect([of("rollout_stage"), of("rollout_stages"), of("rollout_percentage")]).toEqual([
      2, 3, 10,
    ]);
    expect([of("rollout_hold_left_seconds"), of("rollout_samples")]).toEqual([30, 40]);
    expect(samples.get("changeover_controller_leader")).toBe(1);
    expect(samples.get("changeover_controller_last_evaluation_timestamp_seconds")).toBe(100);
    expect(samples.get("changeover_rollout_stage operation=a.b")).toBe(0);
  });

  it("is all 0 again when it is gone", async () => {
    const recorder = recorderOf();
    const rollouts = [status];
    recorder.readFrom({ rollout: () => rollouts });
    await recorder.text();
    rollouts.pop();
    expect(await countedBy(recorder, "rollout_state")).toEqual({});
    expect(await countedBy(recorder, "controller_leader")).toEqual({});
  });
});

describe("a fleet", () => {
  it("shows live and gone instances, revisions, and where latches are tripped", async () => {
    const instance = (name: string, live: boolean, revision: string): InstanceStatus => ({
      ...{ instance: name, live, version: "1", startedAt: "", seenAt: "" },
      flags: { kind: "test", state: "fresh", revision },
      operations: [
        {
          operation: "a.a",
          legacy: { calls: 0, failed: 0, timedOut: 0 },
          candidate: { calls: 0, failed: 0, timedOut: 0 },
          ...{ latched: true, verdict: "breached", percentage: 0 },
        },
      ],
    });
    const instances = [
      instance("one", true, "r1"),
      instance("two", true, "r2"),
      instance("three", false, "r3"),
    ];
    const recorder = recorderOf();
    recorder.readFrom({ fleet: () => ({ connected: true, instances }) });
    const samples = samplesOf(await recorder.text());
    expect(samples.get("changeover_fleet_connected")).toBe(1);
    expect(samples.get("changeover_fleet_instances state=live")).toBe(2);
    expect(samples.get("changeover_fleet_instances state=gone")).toBe(1);
    expect(samples.get("changeover_fleet_flag_revisions")).toBe(2);
    expect(samples.get("changeover_fleet_latched_instances operation=a.a")).toBe(2);
  });
});

describe("the process", () => {
  it("shows memory, back-pressure and admission", async () => {
    const recorder = recorderOf();
    const view = { claimedBytes: 5, waiting: 2, limitBytes: 10 };
    recorder.readFrom({
      memory: () => ({ usedBytes: 90, limitBytes: 100, ratio: 0.9, limitFrom: "cgroup-v2" }),
      backPressure: () => ({ shedShadows: true, hold: false }),
      admission: () => ({ legacy: view, candidate: { ...view, waiting: 0 } }),
      shadowsInFlight: () => 3,
    });
    const samples = samplesOf(await recorder.text());
    expect(samples.get("changeover_memory_used_ratio")).toBe(0.9);
    expect(samples.get("changeover_memory_limit_source source=cgroup-v2")).toBe(1);
    expect(samples.get("changeover_memory_limit_source source=none")).toBe(0);
    expect(samples.get("changeover_back_pressure action=shed-shadows")).toBe(1);
    expect(samples.get("changeover_back_pressure action=hold")).toBe(0);
    expect(samples.get("changeover_admission_waiting_calls path=legacy")).toBe(2);
    expect(samples.get("changeover_admission_limit_bytes path=candidate")).toBe(10);
    expect(samples.get("changeover_shadows_in_flight")).toBe(3);
  });

  it("says that nothing measures its memory", async () => {
    const recorder = recorderOf();
    recorder.readFrom({ memory: () => null });
    expect(await countedBy(recorder, "memory_limit_source")).toEqual({ "source=none": 1 });
  });

  it("reads its own memory and event loop, and is not reset by reading", async () => {
    const readings = new ProcessReadings();
    const recorder = recorderOf();
    recorder.readFrom({ process: () => readings.view() });
    const first = samplesOf(await recorder.text());
    const second = samplesOf(await recorder.text());
    readings.close();
    const active = "changeover_event_loop_seconds_total state=active";
    expect(first.get(active)).toBeGreaterThan(0);
    expect(second.get(active)).toBeGreaterThanOrEqual(first.get(active) ?? Number.NaN);
    expect(first.get("changeover_memory_resident_bytes")).toBeGreaterThan(1e6);
    expect(first.get("changeover_memory_heap_bytes")).toBeGreaterThan(1e5);
  });

  it("remembers what the last major collection left", () => {
    let tell: (reading: { floorBytes: number; heapRatio: number }) => void = never;
    const readings = new ProcessReadings({
      subscribe: (listener) => {
        tell = listener;
        return never;
      },
    });
    tell({ floorBytes: 7, heapRatio: 0 });
    expect(readings.view().heapFloorBytes).toBe(7);
    readings.close();
  });
});

describe("a source that throws", () => {
  it("costs its own gauges only, and is counted once for each scrape", async () => {
    const recorder = recorderOf();
    const fail = (): never => {
      throw new Error("no");
    };
    recorder.readFrom({ memory: fail, shadowsInFlight: () => 3 });
    await recorder.text();
    expect(await countedBy(recorder, "internal_errors_total")).toEqual({ "part=metrics": 2 });
    expect(await countedBy(recorder, "shadows_in_flight")).toEqual({ "": 3 });
  });
});

describe("families of other parts", () => {
  const extra = {
    things: {
      name: "changeover_things_total",
      help: "Things.",
      type: "counter",
      perOperation: false,
      labels: { kind: ["big", "small"] },
    },
  } as const;

  it("are at 0 from the start and read at every scrape", async () => {
    const recorder = recorderOf();
    let small = 0;
    recorder.addFamilies(extra, ({ things }) => things.set(1, small));
    expect(samplesOf(await recorder.text()).get("changeover_things_total kind=small")).toBe(0);
    small = 4;
    expect(await countedBy(recorder, "things_total")).toEqual({ "kind=small": 4 });
  });

  it("may not take a name that is there", () => {
    const recorder = recorderOf();
    recorder.addFamilies(extra, never);
    expect(() => recorder.addFamilies(extra, never)).toThrow("changeover_things_total");
  });
});
