import { describe, expect, it } from "vitest";
import { type DemoStory, problemsOf } from "../../../src/cli/commands/demo/story.ts";
import { trafficTexts } from "../../../src/cli/commands/demo/telling.ts";
import {
  quantileOf,
  ratesBetween,
  type TrafficCounts,
} from "../../../src/cli/commands/demo/traffic/counts.ts";

const calls = { info: 9000, list: 100, download: 100, upload: 50, delete: 40 };
const rollback = {
  latchedMs: 420,
  lastCandidateMs: 430,
  by: "rule error-rate",
  sentence: "too many failures",
  steps: [
    { name: "latch", result: "done" },
    { name: "flag", result: "done" },
  ],
  percentageAfter: 0,
  candidateCallsAfter: 0,
} as const;
const traffic = {
  seconds: 60,
  calls,
  infoPerSecondAimed: 240,
  infoPerSecond: 150,
  infoPerSecondMin: 200,
  machine: { load: 12.1, cores: 2 },
  notMade: 4000,
  fileBytes: 1,
  fellBack: 12,
  harmed: 0,
  examples: [],
};
const happened: DemoStory = {
  operation: "files.info",
  flagsFrom: "file",
  stages: [],
  breakAt: 100,
  stuck: null,
  early: null,
  rollback,
  traffic,
};

describe("the story of a demo", () => {
  it("happened when all was rolled back and nobody was harmed, however slow the machine", () => {
    expect(problemsOf(happened)).toEqual([]);
  });

  it.each<[string, Partial<DemoStory>, RegExp]>([
    ["nothing was rolled back", { rollback: null }, /nothing was rolled back/],
    ["a gate was never passed", { stuck: "stuck at 10 %", rollback: null }, /^stuck at 10 %$/],
    ["the journal lacks it", { rollback: { ...rollback, steps: [] } }, /journal has no rollback/],
    [
      "a step failed",
      { rollback: { ...rollback, steps: [{ name: "flag", result: "failed" }] } },
      /Steps of the rollback failed: flag/,
    ],
    ["the flag stayed", { rollback: { ...rollback, percentageAfter: 50 } }, /says 50 % after/],
    [
      "the candidate went on",
      { rollback: { ...rollback, candidateCallsAfter: 3 } },
      /answered 3 calls after/,
    ],
    [
      "a caller was harmed",
      { traffic: { ...traffic, harmed: 1, examples: ["info: status 500"] } },
      /1 calls did not get what they should: info: status 500/,
    ],
    ["nobody called", { traffic: null }, /no traffic/],
  ])("did not happen when %s", (_what, change, problem) => {
    const problems = problemsOf({ ...happened, ...change });
    expect(problems).toEqual([expect.stringMatching(problem)]);
  });
});

describe("what the demo's callers saw", () => {
  it("says how many look-ups were reached, and why, where they are fewer than they should be", () => {
    expect(trafficTexts(traffic)[0]).toContain(
      "150 look-ups/s reached of 240 aimed at (100 list, 100 download, 50 upload, 40 delete). That is below the 200/s that this demo is meant for: the machine's load was 12.1 on 2 cores.",
    );
    expect(trafficTexts({ ...traffic, infoPerSecond: 201 })[0]).not.toContain("below");
  });

  const from: TrafficCounts = {
    atMs: 1000,
    calls,
    answeredBy: { legacy: 9000, candidate: 0 },
    fellBack: 0,
    harmed: 0,
    examples: [],
    notMade: 0,
    fileBytes: 0,
    candidateSeenMs: null,
    p50Ms: null,
    p95Ms: null,
  };

  it("is told in calls a second between two counts", () => {
    const to = {
      ...from,
      atMs: 3000,
      calls: { ...calls, info: 9400, list: 110 },
      answeredBy: { legacy: 9300, candidate: 100 },
      fellBack: 6,
    };
    expect(ratesBetween(from, to)).toEqual({
      info: 200,
      all: 205,
      legacy: 150,
      candidate: 50,
      fellBack: 3,
    });
    expect(ratesBetween(from, from).info).toBe(0);
  });

  it("has quantiles of what was measured, and none of nothing", () => {
    expect(quantileOf([], 0.5)).toBeNull();
    expect(quantileOf([1, 2, 3, 4], 0.5)).toBe(2);
    expect(quantileOf([1, 2, 3, 4], 0.95)).toBe(4);
  });
});
