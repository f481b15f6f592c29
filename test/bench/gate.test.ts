import { describe, expect, it } from "vitest";
import type { GateCheck } from "../../bench/gate/checks.ts";
import { gateChecks } from "../../bench/gate/checks.ts";
import { runGate } from "../../bench/gate/run-gate.ts";
import {
  actionBenchmarks,
  type GateResult,
  isPassed,
  judgeReading,
  outcomeOf,
} from "../../bench/gate/verdict.ts";
import { readTargets } from "../../bench/targets.ts";
import { systemClock } from "../../src/base/clock.ts";

const reading = (low: number, high: number) => ({ value: (low + high) / 2, ci95: { low, high } });

describe("a reading of the gate", () => {
  it.each([
    ["at-most", 0.9, 1.0, "pass"],
    ["at-most", 1.04, 1.2, "fail"],
    ["at-most", 0.9, 1.2, "inconclusive"],
    ["must-be-seen", 1.04, 1.2, "pass"],
    ["must-be-seen", 0.9, 1.0, "fail"],
    ["must-be-seen", 0.9, 1.2, "inconclusive"],
    ["must-not-be-seen", 0.9, 1.2, "pass"],
    ["must-not-be-seen", 1.04, 1.2, "fail"],
  ] as const)("under %s 1.03, from %d to %d, is %s", (rule, low, high, verdict) => {
    expect(judgeReading(rule, 1.03, reading(low, high))).toBe(verdict);
  });
});

describe("the gate", () => {
  const limits = [{ id: "check", text: "A check", unit: "x", limit: 1.03 }];
  const run = (check: GateCheck, limitMs?: number): Promise<GateResult[]> =>
    runGate([check], limits, {
      clock: systemClock,
      signal: new AbortController().signal,
      seed: 1,
      ...(limitMs === undefined ? {} : { limitMs }),
    });

  it("measures again with twice the samples while the interval leaves it open", async () => {
    const times: number[] = [];
    const check: GateCheck = {
      id: "check",
      rule: "at-most",
      measure: async (_context, each) => {
        times.push(each);
        return each < 4 ? reading(0.9, 1.2) : reading(1.0, 1.02);
      },
    };
    expect(await run(check)).toMatchObject([{ id: "check", verdict: "pass", doublings: 2 }]);
    expect(times).toEqual([1, 2, 4]);
  });

  it("stays inconclusive after three doublings, or when there is no time", async () => {
    const check: GateCheck = {
      id: "check",
      rule: "at-most",
      measure: async () => reading(0.9, 1.2),
    };
    expect(await run(check)).toMatchObject([{ verdict: "inconclusive", doublings: 3 }]);
    expect(await run(check, 0)).toMatchObject([{ verdict: "inconclusive", doublings: 0 }]);
  });

  it("sees 16 MB more, held by a process that it measures", async () => {
    const check = gateChecks.find(({ id }) => id === "self-test-memory");
    const { gate } = await readTargets();
    if (check === undefined) throw new Error("There is no such check.");
    const signal = new AbortController().signal;
    const [result] = await runGate([check], gate, { clock: systemClock, signal, seed: 1 });
    expect(result?.verdict).toBe("pass");
    // What is below the resolution counts as much as it: 16 MB may show as 12.
    expect(result?.value).toBeGreaterThan(8);
    expect(result?.value).toBeLessThan(24);
  });

  it("has a limit for every check, and a check for every limit", async () => {
    const { gate } = await readTargets();
    expect(gateChecks.map(({ id }) => id)).toEqual(gate.map(({ id }) => id));
  });

  const result = (id: string, verdict: GateResult["verdict"]): GateResult => ({
    id,
    text: "Time / time",
    unit: "x",
    limit: 1.03,
    ...reading(0.9, 1.1),
    verdict,
    doublings: 0,
  });

  it("passes with an open question unless it is strict or cannot see what was planted", () => {
    expect(isPassed([result("a", "pass"), result("b", "inconclusive")], false)).toBe(true);
    expect(isPassed([result("a", "pass"), result("b", "inconclusive")], true)).toBe(false);
    expect(isPassed([result("self-test-slower", "inconclusive")], false)).toBe(false);
    expect(isPassed([result("a", "fail")], false)).toBe(false);
  });

  it("names what it left open in its last line, also where it passed", () => {
    const results = [result("a", "pass"), result("b", "inconclusive")];
    expect(outcomeOf(results, true)).toBe("The gate passed. Not decided, the limit is inside: b.");
    expect(outcomeOf([result("a", "pass")], true)).toBe("The gate passed.");
    expect(outcomeOf([result("a", "fail")], false)).toBe("The gate FAILED.");
  });

  it("exports what github-action-benchmark reads, without its self-tests", () => {
    expect(
      actionBenchmarks([result("self-test-slower", "pass"), result("stream-time", "pass")]),
    ).toEqual([
      {
        name: "stream-time",
        unit: "x",
        value: 1,
        range: "0.900 to 1.100",
        extra: "Time / time; limit 1.03 x; pass",
      },
    ]);
  });
});
