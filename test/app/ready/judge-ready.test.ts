import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeReady } from "../../../src/app/ready/judge-ready.ts";
import { mismatchBound } from "../../../src/app/ready/mismatch-bound.ts";
import {
  defaultReadyLimits,
  type ReadyCheckName,
  type ReadyCounts,
  type ReadyFacts,
} from "../../../src/app/ready/ready-check.ts";
import type { JournalEntry } from "../../../src/migration/journal.ts";
import type { RolloutStatus } from "../../../src/rollout/status.ts";

const dayMs = 86_400_000;
const nowMs = Date.parse("2026-11-21T12:00:00.000Z");
const ago = (days: number): string => new Date(nowMs - days * dayMs).toISOString();

const entry = (
  days: number,
  kind: JournalEntry["kind"],
  to: string | null,
  why = "why",
): JournalEntry => ({
  at: ago(days),
  operation: "image.resize",
  kind,
  actor: { type: "person", name: "ana" },
  from: null,
  to,
  why,
  evidence: {},
});

const counts: ReadyCounts = {
  source: "this process",
  sinceMs: nowMs - 19 * dayMs,
  candidateCalls: 20_000,
  legacyCalls: 0,
  fallbacks: 0,
  compared: 5000,
  different: 0,
};

const flag = {
  operation: "image.resize",
  enabled: true,
  percentage: 100,
  shadowPercentage: 5,
  origin: "set by ana",
};
const rollout = { state: "complete", why: "The last stage was passed." } as RolloutStatus;
const now: ReadyFacts["now"] = { name: "image.resize", flag, latch: null, rollout };

/** Everything speaks for it. */
const sound: ReadyFacts = {
  nowMs,
  now,
  latchedInstances: [],
  entries: [entry(40, "flag", "on 1 %, shadow 0 %"), entry(20, "rollout", "100 %")],
  truncated: false,
  counts,
  noCounts: "",
  mismatches: [],
  removeBy: "2027-06-30",
  drilledMs: nowMs - 30 * dayMs,
};

const judge = (facts: Partial<ReadyFacts>): ReturnType<typeof judgeReady> =>
  judgeReady({ ...sound, ...facts }, defaultReadyLimits);
const check = (name: ReadyCheckName, facts: Partial<ReadyFacts>): string => {
  const found = judge(facts).checks.find((each) => each.name === name);
  return `${found?.state}: ${found?.sentence}`;
};

const mismatch = {
  id: "4f2a00000000",
  operation: "image.resize",
  count: 1,
  firstSeen: ago(12),
  lastSeen: ago(12),
  requestId: "r",
  differences: [],
};
const trippedLatch = {
  ...{ operation: "image.resize", tripped: true, epoch: 1, at: ago(1) },
  ...{ by: { type: "rule", name: "error-rate" } as const, reason: "errors", evidence: {} },
};

describe("whether a legacy path may be deleted", () => {
  it("is yes when every check has passed, with its numbers", () => {
    const report = judge({});
    expect(report.checks.filter(({ state }) => state !== "passed")).toEqual([]);
    expect(report).toMatchObject({ operation: "image.resize", ready: true, fullSince: ago(20) });
    expect(check("full-time", {})).toContain("20.0 days; 14 are asked for");
    expect(check("mismatches", {})).toContain("0 of 5000 compared answers differed");
    expect(check("mismatches", {})).toContain("at most 0.06 %; below 0.1 %");
    expect(check("inputs", {})).toContain("is not recorded");
  });

  it.each<[ReadyCheckName, string, Partial<ReadyFacts>]>([
    ["full-time", "failed", { entries: [entry(13, "rollout", "100 %")] }],
    ["full-time", "failed", { now: { ...now, flag: { ...flag, percentage: 95 } } }],
    ["full-time", "failed", { now: { ...now, flag: { ...flag, enabled: false } } }],
    ["full-time", "unknown", { now: { ...now, flag: null } }],
    ["full-time", "unknown", { entries: [] }],
    ["full-time", "unknown", { entries: [...sound.entries, entry(5, "rollback", "legacy")] }],
    ["calls", "failed", { counts: { ...counts, sinceMs: nowMs - 30 * dayMs, candidateCalls: 9 } }],
    ["calls", "unknown", { counts: { ...counts, candidateCalls: 9 } }],
    ["calls", "unknown", { counts: null }],
    ["fallbacks", "failed", { counts: { ...counts, fallbacks: 1 } }],
    ["fallbacks", "unknown", { counts: { ...counts, sinceMs: nowMs - 30 * dayMs, fallbacks: 1 } }],
    ["fallbacks", "unknown", { counts: { ...counts, sinceMs: nowMs - 13 * dayMs } }],
    ["fallbacks", "unknown", { counts: { ...counts, fallbacks: null } }],
    ["rollbacks", "failed", { entries: [entry(5, "rollback", "legacy"), ...sound.entries] }],
    ["rollbacks", "unknown", { entries: [] }],
    ["rollbacks", "unknown", { entries: [entry(3, "flag", "on 100 %")], truncated: true }],
    ["mismatches", "failed", { counts: { ...counts, different: 1, compared: 4000 } }],
    ["mismatches", "unknown", { counts: { ...counts, compared: 3000 } }],
    ["mismatches", "unknown", { counts: { ...counts, compared: 0 } }],
    [
      "mismatches",
      "failed",
      { mismatches: [mismatch], counts: { ...counts, sinceMs: nowMs - 2 * dayMs } },
    ],
    ["inputs", "failed", { counts: { ...counts, legacyCalls: 3 } }],
    ["inputs", "unknown", { counts: { ...counts, sinceMs: nowMs - 30 * dayMs, legacyCalls: 3 } }],
    ["inputs", "unknown", { counts: { ...counts, candidateCalls: 0 } }],
    ["inputs", "unknown", { counts: { ...counts, sinceMs: nowMs - dayMs } }],
    ["rollout", "failed", { now: { ...now, rollout: { ...rollout, state: "running" } } }],
    ["rollout", "unknown", { now: { ...now, rollout: null } }],
    ["latch", "failed", { now: { ...now, latch: trippedLatch } }],
    ["latch", "failed", { latchedInstances: ["b"] }],
    ["drill", "failed", { drilledMs: null }],
    ["drill", "failed", { drilledMs: nowMs - 91 * dayMs }],
    ["flag-age", "unknown", { removeBy: null }],
  ])("is no when %s is %s", (name, state, facts) => {
    expect(check(name, facts)).toMatch(new RegExp(`^${state}: `));
    expect(judge(facts).ready).toBe(false);
  });

  it("is not held up by a flag that should be gone already", () => {
    expect(check("flag-age", { removeBy: "2026-11-01" })).toMatch(/^passed: .* too old already/);
  });

  it("begins to count the time anew after every fall", () => {
    const entries = [
      entry(60, "rollout", "100 %"),
      entry(50, "rollback", "legacy"),
      entry(40, "flag", "on 100 %, shadow 0 %"),
      entry(30, "flag", "off 100 %, shadow 0 %"),
      entry(18, "rollout", "running, 100 %"),
      entry(17, "verdict", "budget-spent"),
      entry(16, "rollout", "complete, 100 %"),
    ];
    expect(judge({ entries }).fullSince).toBe(ago(18));
  });

  it("is never yes with anything unknown or failed, whatever the facts", () => {
    const some = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
    const facts = fc.record({
      counts: some(null, counts, { ...counts, different: 9 }, { ...counts, sinceMs: nowMs }),
      drilledMs: some(null, nowMs),
      removeBy: some(null, "2027-01-01"),
      entries: some([], sound.entries),
      latchedInstances: some([], ["a"]),
    });
    fc.assert(
      fc.property(facts, (given) => {
        const { ready, checks } = judge(given);
        expect(ready).toBe(checks.every(({ state }) => state === "passed"));
        if (given.counts === null || given.drilledMs === null) expect(ready).toBe(false);
      }),
    );
  });
});

describe("the bound of how many answers differ", () => {
  it("is the rule of three without a difference, and the exact Poisson bound with some", () => {
    expect(mismatchBound(0, 3000)).toBe(0.001);
    expect(mismatchBound(0, 0)).toBe(1);
    expect(mismatchBound(0, 2)).toBe(1);
    // Upper 95 % bounds of a Poisson mean: Garwood (1936), table of 1 to 10 events.
    expect(mismatchBound(1, 1000) * 1000).toBeCloseTo(4.744, 3);
    expect(mismatchBound(5, 1000) * 1000).toBeCloseTo(10.513, 3);
    expect(mismatchBound(10, 1000) * 1000).toBeCloseTo(16.962, 3);
  });

  it("is above what was seen, and grows with differences and falls with comparisons", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.integer({ min: 1, max: 1_000_000 }), (different, extra) => {
        const compared = different + extra;
        const bound = mismatchBound(different, compared);
        expect(bound).toBeGreaterThan(different / compared);
        expect(bound).toBeLessThanOrEqual(1);
        expect(mismatchBound(different, compared + 1)).toBeLessThanOrEqual(bound);
      }),
    );
  });
});
