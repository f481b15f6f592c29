import { describe, expect, it } from "vitest";
import { FailedChecks } from "../../../src/rehearsal/simulator/rivals/failed-checks.ts";
import { NaiveThreshold } from "../../../src/rehearsal/simulator/rivals/naive-threshold.ts";
import { RollingBreaker } from "../../../src/rehearsal/simulator/rivals/rolling-breaker.ts";
import { SequentialJudge } from "../../../src/rehearsal/simulator/rivals/sequential-judge.ts";
import { noTrip, type SimulatedPolicy } from "../../../src/rehearsal/simulator/simulated-policy.ts";
import { TrafficSecond } from "../../../src/rehearsal/simulator/traffic.ts";

/** Calls of one second: the candidate's as letters, `b` for a bad one, and legacy's as counts. */
interface Second {
  readonly candidate: string;
  readonly legacy?: { readonly calls: number; readonly bad: number };
}

/** Plays seconds from 1 on; returns the seconds in which the policy tripped, and after how many calls. */
function play(policy: SimulatedPolicy, seconds: readonly Second[]): [number, number][] {
  const now = new TrafficSecond();
  const trips: [number, number][] = [];
  for (const [index, { candidate, legacy = { calls: 0, bad: 0 } }] of seconds.entries()) {
    now.second = index + 1;
    now.reserve(1000, false);
    now.candidateCalls = candidate.length;
    now.candidateBads = 0;
    for (const [at, call] of [...candidate].entries()) {
      if (call !== "b") continue;
      now.candidateBad[now.candidateBads] = at;
      now.candidateBads += 1;
    }
    now.legacyCalls = legacy.calls;
    now.legacyBads = legacy.bad;
    const calls = policy.play(now);
    if (calls !== noTrip) trips.push([now.second, calls]);
  }
  return trips;
}

const times = (count: number, second: Second): Second[] =>
  Array.from({ length: count }, () => second);

describe("the rolling breaker", () => {
  it("opens when more than half of at least 5 calls within 10 s failed", () => {
    expect(play(new RollingBreaker(), [{ candidate: "bbbb" }])).toEqual([]);
    expect(play(new RollingBreaker(), [{ candidate: "bbbbbb" }])).toEqual([[1, 5]]);
    expect(play(new RollingBreaker(), [{ candidate: "gbgbgbgb" }])).toEqual([]);
    expect(play(new RollingBreaker(), [{ candidate: "gbgbgbgbb" }])).toEqual([[1, 9]]);
  });

  it("forgets calls after 10 s", () => {
    const quiet = times(9, { candidate: "" });
    expect(
      play(new RollingBreaker(), [{ candidate: "bbbb" }, ...quiet, { candidate: "b" }]),
    ).toEqual([]);
    expect(
      play(new RollingBreaker(), [{ candidate: "bbbb" }, ...quiet.slice(1), { candidate: "b" }]),
    ).toHaveLength(1);
  });

  it("lets one call through after 30 s, again and again, and closes on a good one", () => {
    const breaker = new RollingBreaker();
    expect(play(breaker, times(100, { candidate: "bbbbbb" }))).toEqual([[1, 5]]);
    expect(breaker.harmed).toBe(5 + 3);
    const healed = new RollingBreaker();
    play(healed, [...times(30, { candidate: "bbbbbb" }), ...times(30, { candidate: "gggggg" })]);
    expect(healed.harmed).toBe(5);
  });
});

describe("the naive threshold", () => {
  const legacy = { calls: 99, bad: 1 };

  it("needs 20 calls and more than 5 points above legacy", () => {
    expect(play(new NaiveThreshold(), times(19, { candidate: "b", legacy }))).toEqual([]);
    expect(play(new NaiveThreshold(), times(20, { candidate: "b", legacy }))).toEqual([[20, 1]]);
    const four = { candidate: `bbbb${"g".repeat(96)}`, legacy: { calls: 100, bad: 0 } };
    expect(play(new NaiveThreshold(), times(400, four))).toEqual([]);
  });

  it("forgets after 5 minutes", () => {
    const before = times(19, { candidate: "b" });
    expect(
      play(new NaiveThreshold(), [...before, ...times(300, { candidate: "" }), { candidate: "b" }]),
    ).toEqual([]);
  });
});

describe("failed checks", () => {
  it("roll back at the check after the fifth failed minute, and halt before", () => {
    const checks = new FailedChecks();
    expect(play(checks, times(360, { candidate: "b" }))).toEqual([[360, 0]]);
    expect(checks.holds).toBe(1);
  });

  it("count minutes without a call as failed, and pass at 99 %", () => {
    expect(play(new FailedChecks(), times(360, { candidate: "" }))).toHaveLength(1);
    const fine = { candidate: `b${"g".repeat(99)}` };
    expect(play(new FailedChecks(), times(3600, fine))).toEqual([]);
  });
});

describe("the sequential judge", () => {
  it("rolls back at the first look at which the lower bound of the difference passes 0", () => {
    // After 9 s 9 of 54 against 45 of 1,800: 0.142, within 0.148 by equation 134; after 19 s 0.142 and 0.098.
    const worse = { candidate: "bggggg", legacy: { calls: 200, bad: 5 } };
    expect(play(new SequentialJudge(), times(20, worse))).toEqual([[20, 0]]);
    // After 9 s 9 of 36: 0.225 against 0.210.
    const muchWorse = { candidate: "bggg", legacy: { calls: 200, bad: 5 } };
    expect(play(new SequentialJudge(), times(10, muchWorse))).toEqual([[10, 0]]);
  });

  it("does not, while both paths are alike", () => {
    const alike = { candidate: `b${"g".repeat(19)}`, legacy: { calls: 20, bad: 1 } };
    expect(play(new SequentialJudge(), times(5000, alike))).toEqual([]);
  });
});
