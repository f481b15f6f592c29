import { describe, expect, it } from "vitest";
import { judgeTarget } from "../../src/harness/target.ts";

const target = { case: "facade-peers", measure: "time added", unit: "x", limit: 0.7 };
const verdict = (low: number, high: number): string =>
  judgeTarget(target, (low + high) / 2, { low, high }).verdict;

describe("a target", () => {
  it("is reached when the whole interval is at or below the limit", () => {
    expect(verdict(0.4, 0.69)).toBe("pass");
    expect(verdict(0.7, 0.7)).toBe("pass");
  });

  it("is missed when the whole interval is above the limit", () => {
    expect(verdict(0.71, 0.9)).toBe("fail");
  });

  it("is undecided when the interval holds the limit, whatever the value is", () => {
    expect(verdict(0.5, 0.71)).toBe("inconclusive");
    expect(verdict(0.7, 0.8)).toBe("inconclusive");
  });

  it("is undecided when nothing was measured", () => {
    expect(verdict(Number.NaN, Number.NaN)).toBe("inconclusive");
  });

  it("keeps what was measured beside what was asked for", () => {
    const ci95 = { low: 0.4, high: 0.6 };
    expect(judgeTarget(target, 0.5, ci95)).toEqual({
      ...target,
      value: 0.5,
      ci95,
      verdict: "pass",
    });
  });
});
