import { describe, expect, it } from "vitest";
import { advance } from "../../src/rollout/advance.ts";
import type { Stage } from "../../src/rollout/plan/plan.ts";
import type { RolloutRecord } from "../../src/rollout/ports.ts";
import { exposureOf, type World } from "../../src/rollout/world.ts";
import { fc, test } from "./properties.ts";
import { aFlag, aRecord, aWorld, counted, startMs } from "./records.ts";

const withStage = (percentage: number, change: Partial<Stage>): RolloutRecord => {
  const record = aRecord(percentage);
  const stages = record.plan.stages.map((stage) =>
    stage.percentage === percentage ? { ...stage, ...change } : stage,
  );
  return { ...record, plan: { ...record.plan, stages } };
};

describe("a step of a rollout", () => {
  it("goes up by one stage when every gate is passed, and announces it first", () => {
    const step = advance(aWorld(aRecord(1)));
    expect(step).toMatchObject({ kind: "raise", from: 1, to: 10 });
    expect(step.record).toMatchObject({
      percentage: 1,
      pending: { from: 1, to: 10, stage: 2, leaseEpoch: 7 },
    });
  });

  it("is complete after the last stage", () => {
    expect(advance(aWorld(aRecord(100)))).toMatchObject({
      kind: "complete",
      record: { phase: "complete", percentage: 100 },
    });
  });

  const day = 86_400_000;
  const open: [string, World, "wait" | "hold", string][] = [
    ["time is left", aWorld(aRecord(1, { heldMs: 8999 })), "wait", "hold-time"],
    ["samples are missing", aWorld(aRecord(1, { evidence: counted(19) })), "wait", "samples"],
    ["the verdict is inconclusive", aWorld(aRecord(1), judged("inconclusive")), "wait", "verdict"],
    ["the verdict is suspect", aWorld(aRecord(1), judged("suspect")), "hold", "verdict"],
    ["the guard is blind", aWorld(aRecord(1), judged("blind")), "hold", "verdict"],
    ["the flag cannot be read", aWorld(aRecord(1), { flag: null }), "hold", "flag"],
    ["the fleet's latch is unknown", aWorld(aRecord(1), { latch: null }), "hold", "latch"],
    ["no instance reports", aWorld(aRecord(1), { instances: [] }), "hold", "instances"],
    [
      "an instance is latched",
      aWorld(aRecord(1), { instances: [instance("a", 1), { ...instance("b", 1), latched: true }] }),
      "hold",
      "instances",
    ],
    [
      "an instance has stale flags",
      aWorld(aRecord(1), { instances: [{ ...instance("a", 1), fresh: false }] }),
      "hold",
      "instances",
    ],
    [
      "an instance goes by another percentage",
      aWorld(aRecord(1), { instances: [instance("a", 1), instance("b", 0)] }),
      "wait",
      "instances",
    ],
    ["nobody has approved", aWorld(withStage(1, { approval: true })), "wait", "approval"],
    ["no drill has passed", aWorld(withStage(1, { drillMaxAgeDays: 7 })), "wait", "drill"],
    [
      "the last drill is too old",
      aWorld(withStage(1, { drillMaxAgeDays: 7 }), { drilledMs: startMs - 8 * day }),
      "wait",
      "drill",
    ],
    [
      "too many calls failed",
      aWorld({ ...withStage(1, { errorRateMax: 0.05 }), evidence: counted(20, 2) }),
      "hold",
      "error-rate",
    ],
    [
      "too few calls succeeded",
      aWorld({ ...withStage(1, { successRateMin: 0.99 }), evidence: counted(20, 1) }),
      "hold",
      "success-rate",
    ],
    [
      "the candidate is too slow",
      aWorld(withStage(1, { latencyFactorMax: 0.9 })),
      "hold",
      "latency",
    ],
    [
      "an earlier operation is not far enough",
      aWorld(behind(aRecord(0)), { reached: new Map([["shop.list", 10]]) }),
      "wait",
      "earlier-operations",
    ],
    [
      "it is a quiet time",
      aWorld(quiet(aRecord(1)), { nowMs: Date.parse("2026-11-20T16:00:00Z") }),
      "wait",
      "window",
    ],
  ];

  it.each(open)("waits or holds while %s", (_what, world, kind, gate) => {
    const step = advance(world);
    expect(step.kind).toBe(kind);
    const open_ = step.gates.filter(({ state }) => state !== "passed").map(({ name }) => name);
    expect(open_).toEqual([gate]);
    expect(step.why).toContain(step.gates.find(({ name }) => name === gate)?.sentence ?? "?");
  });

  it("goes on once what was missing is there", () => {
    const approval = { stage: 1, by: "ann", at: "now" };
    const worlds = [
      aWorld({ ...withStage(1, { approval: true }), approval }),
      aWorld(withStage(1, { drillMaxAgeDays: 7 }), { drilledMs: startMs - day }),
      aWorld(withStage(1, { latencyFactorMax: 1 })),
      aWorld(behind(aRecord(0)), { reached: new Map([["shop.list", 50]]) }),
      aWorld(quiet(aRecord(1))),
      aWorld(aRecord(1), { instances: [instance("a", 1), instance("b", 1)] }),
      aWorld(aRecord(1, { heldMs: 0, evidence: counted(0), skip: approval })),
    ];
    for (const world of worlds) expect(advance(world).kind).toBe("raise");
  });

  it("does not count an approval or a skip of an earlier stage", () => {
    const old = { stage: 0, by: "ann", at: "now" };
    expect(advance(aWorld({ ...withStage(1, { approval: true }), approval: old })).kind).toBe(
      "wait",
    );
    expect(advance(aWorld(aRecord(1, { heldMs: 0, skip: old }))).kind).toBe("wait");
  });

  it("a skipped wait skips no verdict", () => {
    const skip = { stage: 1, by: "ann", at: "now" };
    const step = advance(aWorld(aRecord(1, { heldMs: 0, skip }), judged("inconclusive")));
    expect(step.kind).toBe("wait");
  });

  it("counts neither time on hold, nor a long sleep of the process", () => {
    const record = aRecord(1, { heldMs: 0 });
    const held = advance(aWorld(record, { ...judged("suspect"), counted: counted(5) })).record;
    expect([held.heldMs, held.evidence.candidate.calls]).toEqual([0, 25]);
    expect(advance(aWorld(record, { passedMs: 3_600_000 })).record.heldMs).toBe(5000);
  });

  it("needs comparisons at 0 % where calls are shadowed, and nothing where they cannot be", () => {
    const record = withStage(0, { shadowPercentage: 10, samples: 100 });
    expect(advance(aWorld(record)).kind).toBe("wait");
    expect(advance(aWorld({ ...record, evidence: counted(100) })).kind).toBe("raise");
    expect(advance(aWorld(record, { shadowable: false })).kind).toBe("raise");
  });

  it("ends with a tripped latch, also with one that was re-armed meanwhile", () => {
    const tripped = { tripped: true, epoch: 1, reason: "errors" };
    for (const latch of [tripped, { ...tripped, tripped: false }]) {
      for (const phase of ["running", "paused", "held", "complete"] as const) {
        expect(advance(aWorld(aRecord(10, { phase }), { latch }))).toMatchObject({
          kind: "rolled-back",
          record: { phase: "rolled-back", percentage: 0 },
        });
      }
    }
  });

  it("holds when the flag was changed by hand, in either direction, and stays held", () => {
    for (const flag of [aFlag(50), aFlag(5), aFlag(10, false)]) {
      const step = advance(aWorld(aRecord(10), { flag }));
      expect(step).toMatchObject({ kind: "hold", record: { phase: "held", percentage: 10 } });
      expect(step.why).toContain("by hand");
      expect(advance(aWorld(step.record)).kind).toBe("wait");
    }
  });

  it("switches a flag off again that somebody turned on during a rollback", () => {
    const latch = { tripped: true, epoch: 1, reason: "errors" };
    const record = aRecord(0, { phase: "rolled-back", latchEpoch: 1 });
    expect(advance(aWorld(record, { latch, flag: aFlag(50) })).kind).toBe("switch-off");
    expect(advance(aWorld(record, { latch, flag: aFlag(50, false) })).kind).toBe("wait");
  });
});

describe("an announced step", () => {
  const pending = { from: 1, to: 10, stage: 2, leaseEpoch: 7 };

  it("is entered once the flag shows it, by the leader that announced it", () => {
    const world = aWorld(aRecord(1, { pending }), { flag: aFlag(10) });
    expect(advance(world)).toMatchObject({
      kind: "enter",
      record: { percentage: 10, stage: 2, pending: null, heldMs: 0, evidence: { compared: 0 } },
    });
  });

  it("is put back by any other leader, and by a pause", () => {
    const other = aWorld(aRecord(1, { pending }), { flag: aFlag(10), leaseEpoch: 8 });
    const paused = aWorld(aRecord(1, { pending, phase: "paused" }), { flag: aFlag(10) });
    for (const world of [other, paused]) {
      expect(advance(world)).toMatchObject({
        kind: "lower",
        from: 10,
        to: 1,
        record: { percentage: 1, pending: null, givenUp: 10 },
      });
    }
  });

  it("is given up when the flag does not show it, and put back when it comes late", () => {
    const step = advance(aWorld(aRecord(1, { pending }), { leaseEpoch: 8 }));
    expect(step).toMatchObject({ kind: "wait", record: { pending: null, givenUp: 10 } });
    const late = advance(aWorld(step.record, { flag: aFlag(10) }));
    expect(late).toMatchObject({ kind: "lower", to: 1 });
  });

  it("that comes after an abort or a rollback is put back to 0, for ten minutes", () => {
    for (const phase of ["aborted", "rolled-back"] as const) {
      const record = aRecord(0, { phase, givenUp: 10 });
      expect(advance(aWorld(record, { flag: aFlag(10) }))).toMatchObject({ kind: "lower", to: 0 });
      const later = aWorld(record, { flag: aFlag(10), nowMs: startMs + 601_000 });
      expect(advance(later).kind).toBe("wait");
    }
  });
});

describe("whatever the world looks like", () => {
  const percentages = [0, 1, 10, 50, 100];
  const worlds = fc
    .record({
      at: fc.constantFrom(...percentages),
      phase: fc.constantFrom(
        ...(["running", "paused", "held", "complete", "rolled-back", "aborted"] as const),
      ),
      pending: fc.boolean(),
      mine: fc.boolean(),
      givenUp: fc.constantFrom(null, ...percentages),
      flag: fc.option(
        fc.record({ percentage: fc.constantFrom(...percentages, 5), enabled: fc.boolean() }),
      ),
      tripped: fc.option(fc.boolean()),
      epoch: fc.nat({ max: 1 }),
      kind: fc.constantFrom(
        ...(["healthy", "suspect", "breached", "inconclusive", "blind"] as const),
      ),
      heldMs: fc.constantFrom(0, 10_000),
      calls: fc.constantFrom(0, 20),
      instances: fc.option(
        fc.array(
          fc.record({
            percentage: fc.constantFrom(...percentages),
            fresh: fc.boolean(),
            latched: fc.boolean(),
          }),
          { maxLength: 3 },
        ),
      ),
    })
    .map((seed): World => {
      const stage = percentages.indexOf(seed.at);
      const to = percentages[stage + 1];
      const pending =
        seed.pending && to !== undefined
          ? { from: seed.at, to, stage: stage + 1, leaseEpoch: seed.mine ? 7 : 6 }
          : null;
      const record = aRecord(seed.at, {
        phase: seed.phase,
        pending,
        givenUp: seed.givenUp,
        heldMs: seed.heldMs,
        evidence: counted(seed.calls),
      });
      return aWorld(record, {
        flag: seed.flag && aFlag(seed.flag.percentage, seed.flag.enabled),
        latch:
          seed.tripped === null
            ? null
            : { tripped: seed.tripped, epoch: seed.tripped ? 1 : seed.epoch, reason: "errors" },
        judged: { kind: seed.kind, sentence: "as told" },
        instances:
          seed.instances?.map((each, index) => ({ instance: `i${index}`, ...each })) ?? null,
      });
    });

  test(
    "exposure rises only by one stage, from what the record says, with everything well",
    worlds,
    (world) => {
      const step = advance(world);
      const { record, flag, latch, judged: by, instances } = world;
      if (step.kind !== "raise") return;
      expect([record.phase, by.kind, record.pending]).toEqual(["running", "healthy", null]);
      expect(latch).toMatchObject({ tripped: false, epoch: 0 });
      expect(flag?.enabled && exposureOf(flag)).toBe(record.percentage);
      expect(step.to).toBe(percentages[percentages.indexOf(record.percentage) + 1]);
      expect(instances?.some((each) => each.latched || !each.fresh) ?? false).toBe(false);
      expect([
        record.heldMs,
        record.evidence.candidate.calls >= 20 || record.percentage === 0,
      ]).toEqual([10_000, true]);
    },
  );

  test(
    "no other step wants a flag higher than it is, and none switches one on",
    worlds,
    (world) => {
      const step = advance(world);
      if (step.kind === "raise" || step.to === null || world.flag === null) return;
      if (step.kind === "lower" || step.kind === "switch-off") {
        expect(step.to).toBeLessThan(exposureOf(world.flag));
      }
      if (step.kind === "enter") expect(step.to).toBe(exposureOf(world.flag));
    },
  );

  test("after a rollback nothing is raised or entered again", worlds, (world) => {
    const { kind, record } = advance({
      ...world,
      latch: { tripped: true, epoch: 1, reason: "errors" },
    });
    expect(["rolled-back", "wait", "lower", "switch-off", "hold"]).toContain(kind);
    expect(["rolled-back", "aborted"]).toContain(record.phase);
  });

  test("the record itself only rises by an entered step", worlds, (world) => {
    const step = advance(world);
    if (step.kind !== "enter") {
      expect(step.record.percentage).toBeLessThanOrEqual(world.record.percentage);
    }
  });
});

function judged(kind: World["judged"]["kind"]): Pick<World, "judged"> {
  return { judged: { kind, sentence: "as told" } };
}

function instance(name: string, percentage: number): NonNullable<World["instances"]>[number] {
  return { instance: name, percentage, fresh: true, latched: false };
}

function behind(record: RolloutRecord): RolloutRecord {
  return { ...record, plan: { ...record.plan, after: [{ operation: "shop.list", reach: 50 }] } };
}

function quiet(record: RolloutRecord): RolloutRecord {
  const times = [{ from: "Fri 15:00", to: "Mon 08:00", timeZone: "UTC" }];
  return { ...record, plan: { ...record.plan, quiet: times } };
}
