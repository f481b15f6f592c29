import { describe, expect, it } from "vitest";
import { complexityOf, sizeClassOf } from "../../../src/files/selection/complexity.ts";
import { predictDuration } from "../../../src/files/selection/duration.ts";

const MiB = 2 ** 20;

describe("the predicted duration", () => {
  it.each([
    [
      "a simple question about a small file at Kimi is not late",
      "simple",
      1000,
      "kimi",
      5000,
      false,
    ],
    ["a complex one about a large file at Kimi is", "complex", 10 * MiB, "kimi", 180_000, true],
    ["the same at GLM is not", "complex", 10 * MiB, "glm", 180_000, false],
    ["a complex one about a medium file at Kimi is not", "complex", MiB, "kimi", 90_000, false],
    [
      "a moderate one about a large file at Kimi is not",
      "moderate",
      10 * MiB,
      "kimi",
      60_000,
      false,
    ],
  ] as const)("for a cold start: %s", (_what, complexity, sizeBytes, provider, ms, isLate) => {
    expect(predictDuration({ complexity, sizeBytes, provider })).toMatchObject({
      expectedMs: ms,
      basis: "table",
      isLate,
    });
  });

  it("follows the measured throughput as soon as there is one", () => {
    const facts = { complexity: "complex", sizeBytes: 100_000_000, provider: "kimi" } as const;
    const at = (bytesPerSecond: number) =>
      predictDuration({ ...facts, throughput: { bytesPerSecond, samples: 1 } });
    expect(at(10_000_000)).toEqual({
      expectedMs: 12_000,
      basis: "measured",
      isLate: false,
      totalMs: 48_000,
      idleMs: 30_000,
    });
    expect(at(500_000)).toMatchObject({ expectedMs: 202_000, isLate: true, totalMs: 808_000 });
    expect(at(1)).toMatchObject({ expectedMs: 1_800_000, totalMs: 1_800_000 });
  });

  it("knows the bounds of its classes", () => {
    expect([49, 50, 199, 200].map((length) => complexityOf("x".repeat(length)))).toEqual([
      "simple",
      "moderate",
      "moderate",
      "complex",
    ]);
    expect([MiB - 1, MiB, 10 * MiB - 1, 10 * MiB].map(sizeClassOf)).toEqual([
      "small",
      "medium",
      "medium",
      "large",
    ]);
  });
});
