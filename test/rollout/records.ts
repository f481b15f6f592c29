import type { FlagState } from "../../src/migration/flags.ts";
import { type EvidenceTotals, noEvidence } from "../../src/rollout/evidence.ts";
import type { Stage } from "../../src/rollout/plan/plan.ts";
import type { RolloutRecord } from "../../src/rollout/ports.ts";
import type { World } from "../../src/rollout/world.ts";

export const operation = "shop.resize";
export const startMs: number = Date.parse("2026-11-18T10:00:00Z");

/** A stage that waits for nothing but 10 s and 20 samples, changed as wished. */
export function aStage(percentage: number, change: Partial<Stage> = {}): Stage {
  return {
    percentage,
    shadowPercentage: 0,
    holdSeconds: 10,
    samples: percentage === 0 ? 0 : 20,
    approval: false,
    drillMaxAgeDays: null,
    successRateMin: null,
    errorRateMax: null,
    latencyFactorMax: null,
    ...change,
  };
}

/** A rollout that runs at the stage of so many per cent. */
export function aRecord(percentage: number, change: Partial<RolloutRecord> = {}): RolloutRecord {
  const stages = [0, 1, 10, 50, 100].map((each) => aStage(each));
  const at = new Date(startMs).toISOString();
  return {
    operation,
    revision: 1,
    epoch: 1,
    plan: { name: "test", stages, quiet: [], after: [] },
    phase: "running",
    stage: stages.findIndex((each) => each.percentage === percentage),
    percentage,
    pending: null,
    givenUp: null,
    stageSince: at,
    phaseSince: at,
    heldMs: 10_000,
    evidence: counted(20),
    baseline: noEvidence.legacy,
    approval: null,
    skip: null,
    latchEpoch: 0,
    why: "because",
    by: "test",
    ...change,
  };
}

/** So many calls on each path, and as many comparisons. */
export function counted(calls: number, failed = 0): EvidenceTotals {
  const path = { calls, failed, timedOut: 0, durationMs: calls * 10 };
  return { legacy: path, candidate: path, compared: calls };
}

export const aFlag = (percentage: number, enabled = true): FlagState => ({
  operation,
  enabled,
  percentage,
  shadowPercentage: 0,
  origin: "test",
});

/** Everything is well: the next stage may be entered. */
export function aWorld(record: RolloutRecord, change: Partial<World> = {}): World {
  return {
    record,
    nowMs: startMs + 60_000,
    passedMs: 1000,
    flag: aFlag(record.percentage),
    latch: { tripped: false, epoch: 0, reason: "" },
    instances: null,
    judged: { kind: "healthy", sentence: "All is well." },
    counted: noEvidence,
    drilledMs: null,
    reached: new Map(),
    shadowable: true,
    leaseEpoch: 7,
    ...change,
  };
}
