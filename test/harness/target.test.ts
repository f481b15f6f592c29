import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { comparisonOf } from "../../src/harness/measurement.ts";
import { judgeTarget, type Measured, type Target, verdictOf } from "../../src/harness/target.ts";

const comparison = comparisonOf(
  {
    case: "upload-50mb",
    measure: "throughput",
    unit: "MB/s",
    better: "higher",
    resolution: null,
    nodeFlags: [],
    note: "",
  },
  [
    {
      base: { name: "legacy", values: [50, 50] },
      contender: { name: "streaming", values: [100, 100] },
      first: [],
    },
  ],
  seededRandom(1),
);

const measured: Measured = {
  comparisons: [comparison],
  figures: [
    { case: "crowd", measure: "late", unit: "%", value: 0.5, ci95: { low: 0.2, high: 0.8 } },
  ],
  cores: 2,
  quick: false,
  random: seededRandom(1),
};

const target: Target = {
  id: "twice",
  text: "Twice as fast",
  source: "ours",
  case: "upload-50mb",
  measure: "throughput",
  read: "ratio",
  bound: "at-least",
  limit: 2,
  unit: "x",
};

describe("the verdict on an interval", () => {
  it.each([
    ["at-most", 0.4, 0.69, "pass"],
    ["at-most", 0.7, 0.7, "pass"],
    ["at-most", 0.71, 0.9, "fail"],
    ["at-most", 0.5, 0.71, "inconclusive"],
    ["at-most", 0.7, 0.8, "inconclusive"],
    ["at-least", 0.7, 0.8, "pass"],
    ["at-least", 0.5, 0.69, "fail"],
    ["at-least", 0.5, 0.7, "inconclusive"],
    ["at-most", Number.NaN, Number.NaN, "inconclusive"],
    ["at-least", Number.NaN, Number.NaN, "inconclusive"],
  ] as const)("of %s 0.7, from %d to %d, is %s", (bound, low, high, verdict) => {
    expect(verdictOf(bound, 0.7, { low, high })).toBe(verdict);
  });
});

describe("a target", () => {
  it("reads the ratio, a side or the difference of the comparison it names", () => {
    const value = (read: Target["read"]): number | null =>
      judgeTarget({ ...target, read }, measured).value;
    expect(value("ratio")).toBeCloseTo(2);
    expect(value("base")).toBe(50);
    expect(value("contender")).toBe(100);
    expect(value("difference")).toBe(50);
  });

  it("reads a figure", () => {
    const figure: Target = {
      ...target,
      case: "crowd",
      measure: "late",
      read: "figure",
      bound: "at-most",
      limit: 1,
      unit: "%",
    };
    expect(judgeTarget(figure, measured)).toMatchObject({ value: 0.5, verdict: "pass", why: "" });
  });

  it("is inconclusive, never passed, when it was not measured, and says so", () => {
    for (const lost of [
      { case: "upload-1gib" },
      { measure: "CPU" },
      { base: "curl -T" },
      { contender: "changeover" },
    ]) {
      expect(judgeTarget({ ...target, ...lost }, measured)).toMatchObject({
        value: null,
        ci95: null,
        verdict: "inconclusive",
        why: "not measured",
      });
    }
  });

  it("is inconclusive on a machine with too few cores, whatever was measured", () => {
    expect(judgeTarget({ ...target, coresMin: 4 }, measured)).toMatchObject({
      verdict: "inconclusive",
      why: "needs 4 cores, there are 2",
    });
  });

  it("is not decided by a quick run", () => {
    expect(judgeTarget(target, { ...measured, quick: true })).toMatchObject({
      value: expect.closeTo(2) as number,
      verdict: "inconclusive",
      why: "a quick run decides nothing",
    });
  });

  it("fails when it is missed", () => {
    expect(judgeTarget({ ...target, limit: 2.1 }, measured).verdict).toBe("fail");
  });

  it("says what stands in the way where it is missed, and only there", () => {
    const obstacle = "One core hashes no faster.";
    expect(judgeTarget({ ...target, obstacle }, measured)).toMatchObject({ why: "" });
    const harder = { ...target, obstacle, limit: 3 };
    expect(judgeTarget(harder, measured)).toMatchObject({ verdict: "fail", why: obstacle });
  });
});
