import { describe, expect, it } from "vitest";
import { callsToTrip, day, steady, tripOf } from "./traffic.ts";

/* What the error rule does over days of traffic, with fixed seeds; 100 calls a second unless said. */

const outage = (second: number): number =>
  second % day < 40_000 || second % day > 40_120 ? 0.01 : 0.6;
const blips = (second: number): number => (second % 3600 < 3590 ? 0.01 : 1);
const swing = (second: number): number => 0.0325 - 0.0275 * Math.cos((2 * Math.PI * second) / day);
/** Two minutes of each hour. */
const hourly = (second: number): number =>
  second % 3600 > 3000 && second % 3600 < 3120 ? 0.6 : 0.01;

describe("over days of traffic on which both paths are alike, the guard never rolls back", () => {
  it.each([
    ["0.1 % of all calls fail", steady(0.001), 3],
    ["1 % of all calls fail", steady(0.01), 3],
    ["5 % of all calls fail", steady(0.05), 2],
    ["a shared outage of 2 minutes a day fails 60 %", outage, 3],
    ["every call fails for 10 s of each hour", blips, 3],
    ["failures swing from 0.5 % to 6 % over the day", swing, 2],
  ])("while %s", (_what, rate, days) => {
    expect(tripOf({ seconds: days * day, seed: 11, legacy: rate, candidate: rate })).toBeNull();
  });

  it.each([
    ["at 10 % share", 0.1, "read", true],
    ["at 50 % share", 0.5, "read", true],
    ["at 50 % share of a write", 0.5, "write", false],
    ["at 95 % share, probed", 0.95, "read", true],
    ["at 95 % share, probed, without fallbacks", 0.95, "read", false],
    ["at 95 % share of a write, beside its holdback", 0.95, "write", false],
    ["at 100 % share, probed", 1, "read", true],
    ["at 100 % share, probed, without fallbacks", 1, "read", false],
  ] as const)("in shared outages of 60 %% and of 100 %%, %s", (_what, share, kind, fallback) => {
    for (const rate of [hourly, blips]) {
      for (const seed of [1, 2]) {
        const traffic = { seconds: 8 * 3600, seed, share, kind, fallback, callsPerSecond: 20 };
        expect(tripOf({ ...traffic, legacy: rate, candidate: rate })).toBeNull();
      }
    }
  });

  it("while the candidate is worse by half of what is allowed", () => {
    const worse = { legacy: steady(0.01), candidate: steady(0.03) };
    expect(tripOf({ seconds: 2 * day, seed: 5, ...worse })).toBeNull();
    expect(tripOf({ seconds: day / 4, seed: 5, share: 0.95, ...worse })).toBeNull();
  });
});

describe("after half an hour of health the guard rolls back", () => {
  // Bounds of the median and of the 95th percentile of candidate calls. Measured over 400 runs at 1 %
  // share: 5/6, 14/27, 66/132, 232/493; over 100 at 10 %: 7/9, 281/473; over 40 at 50, 95 and 100 %: 22/26,
  // 26/28, 26/27 for a total failure, 317/583, 613/1,399, 503/692 for 11 %.
  it.each([
    ["a total failure", 1, 0.01, 5, 8],
    ["half of the calls failing", 0.5, 0.01, 16, 32],
    ["20 % failing", 0.2, 0.01, 70, 150],
    ["11 % failing", 0.11, 0.01, 240, 500],
    ["a total failure at 10 % share", 1, 0.1, 15, 20],
    ["11 % failing at 10 % share", 0.11, 0.1, 300, 560],
    ["a total failure at 50 % share", 1, 0.5, 60, 60],
    ["11 % failing at 50 % share", 0.11, 0.5, 800, 1200],
    ["a total failure at 95 % share", 1, 0.95, 60, 60],
    ["11 % failing at 95 % share", 0.11, 0.95, 800, 2600],
    ["a total failure at 100 % share", 1, 1, 60, 60],
    ["11 % failing at 100 % share", 0.11, 1, 800, 2600],
  ])("on %s", (_what, rate, share, median, slowest) => {
    const runs = share < 0.1 ? 40 : 20;
    const sorted = callsToTrip({ rate, share }, runs);
    expect(sorted[runs / 2 - 1]).toBeLessThanOrEqual(median);
    expect(sorted[runs * 0.95 - 1]).toBeLessThanOrEqual(slowest);
  });

  it.each([
    ["a total failure of a write at 50 % share", 1, 0.5, 60],
    ["a total failure of a write at 95 % share", 1, 0.95, 60],
    ["20 % of a write failing at 95 % share", 0.2, 0.95, 1000],
    ["a total failure of a write at 100 % share", 1, 1, 60],
    ["11 % of a write failing at 100 % share", 0.11, 1, 800],
  ])("on %s, where no probe is possible", (_what, rate, share, median) => {
    expect(callsToTrip({ rate, share, kind: "write" }, 20)[9]).toBeLessThanOrEqual(median);
  });
});
