import { describe, expect, it } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { RateDetector } from "../../src/guard/engine/rate-detector.ts";
import { worseThanLegacy } from "../../src/guard/judge.ts";
import { parsePolicy } from "../../src/guard/policy.ts";

/*
 * What the detectors do over days of traffic, with fixed seeds. Calls are drawn independently, in
 * one-second arrivals; one candidate call a second at 1 % share.
 */

const { engine } = parsePolicy({});
const settings = { delta: 0.05, ...engine };

/** How many of `calls` are bad: jumps from one bad call to the next. */
function badOf(random: Random, calls: number, rate: number): number {
  if (rate <= 0) return 0;
  if (rate >= 1) return calls;
  const log = Math.log(1 - rate);
  let bad = 0;
  for (let at = 0; ; bad += 1) {
    at += Math.floor(Math.log(1 - random.next()) / log) + 1;
    if (at > calls) return bad;
  }
}

interface Traffic {
  readonly seconds: number;
  readonly seed: number;
  readonly share?: number;
  readonly callsPerSecond?: number;
  /** Rates in a second of the day. */
  readonly legacy: (second: number) => number;
  readonly candidate: (second: number) => number;
  /** A failed candidate call is answered by legacy, at legacy's rate. */
  readonly fallback?: boolean;
}

/** Seconds and candidate calls until the guard would roll back, or null. */
function tripOf(traffic: Traffic): { second: number; calls: number } | null {
  const random = seededRandom(traffic.seed);
  const detector = new RateDetector(settings);
  const perSecond = traffic.callsPerSecond ?? 100;
  const candidate = Math.round(perSecond * (traffic.share ?? 0.01));
  const legacy = perSecond - candidate;
  let key = 0;
  let since: number | null = null;
  for (let second = 1; second <= traffic.seconds; second += 1) {
    detector.advance(second);
    detector.legacyBatch(badOf(random, legacy, traffic.legacy(second)), legacy);
    for (let call = 0; call < candidate; call += 1) {
      const bad = random.next() < traffic.candidate(second);
      key += 1;
      if (!bad) detector.candidateGood();
      else if (traffic.fallback === true && random.next() < traffic.legacy(second))
        detector.bothBad();
      else detector.candidateBad(key, traffic.fallback === true);
      since = detector.sizeAlarm ? (since ?? second) : null;
      if (since === null) continue;
      if (worseThanLegacy(detector.state(), second - since, engine) === "worse") {
        return { second, calls: (second - 1) * candidate + call + 1 };
      }
    }
  }
  return null;
}

const day = 86_400;
const steady = (rate: number) => (): number => rate;
const outage = (second: number): number =>
  second % day < 40_000 || second % day > 40_120 ? 0.01 : 0.6;
const blips = (second: number): number => (second % 3600 < 10 ? 1 : 0.01);
const swing = (second: number): number => 0.0325 - 0.0275 * Math.cos((2 * Math.PI * second) / day);

describe("over days of traffic on which both paths are alike, the guard never rolls back", () => {
  it.each([
    ["0.1 % of all calls fail", steady(0.001), 4],
    ["1 % of all calls fail", steady(0.01), 4],
    ["5 % of all calls fail", steady(0.05), 3],
    ["a shared outage of 2 minutes a day fails 60 %", outage, 4],
    ["every call fails for 10 s of each hour", blips, 4],
    ["failures swing from 0.5 % to 6 % over the day", swing, 3],
  ])("while %s", (_what, rate, days) => {
    expect(tripOf({ seconds: days * day, seed: 11, legacy: rate, candidate: rate })).toBeNull();
  });

  it.each([
    ["at 10 % share", 0.1, false],
    ["at 50 % share", 0.5, false],
    ["at 95 % share", 0.95, false],
    ["at 95 % share with fallbacks", 0.95, true],
    ["at 100 % share with fallbacks", 1, true],
  ])("while 1 %% fail and a shared outage fails 60 %%, %s", (_what, share, fallback) => {
    const hours = (second: number): number =>
      second % 3600 > 3000 && second % 3600 < 3120 ? 0.6 : 0.01;
    for (const seed of [1, 2, 3]) {
      const traffic = { seconds: 3 * 3600, seed, share, callsPerSecond: 40, fallback };
      expect(tripOf({ ...traffic, legacy: hours, candidate: hours })).toBeNull();
    }
  });

  it("while the candidate is worse by half of what is allowed", () => {
    const worse = { legacy: steady(0.01), candidate: steady(0.03) };
    expect(tripOf({ seconds: 2 * day, seed: 5, ...worse })).toBeNull();
  });
});

describe("after half an hour of health the guard rolls back", () => {
  const calls = (rate: number, share: number, fallback = false): number[] => {
    const healthy = 1800;
    const perSecond = Math.round(100 * share);
    return Array.from({ length: 40 }, (_, seed) => {
      const trip = tripOf({
        seconds: healthy + 3600,
        seed: seed + 1,
        share,
        fallback,
        legacy: steady(0.01),
        candidate: (second) => (second > healthy ? rate : 0.01),
      });
      return trip === null ? Number.POSITIVE_INFINITY : trip.calls - healthy * perSecond;
    }).toSorted((a, b) => a - b);
  };

  // Median and 95th percentile of candidate calls: measured 5/5, 13/23, 58/143, 249/402 at 1 % share.
  it.each([
    ["a total failure", 1, 0.01, 6, 8],
    ["half of the calls failing", 0.5, 0.01, 18, 32],
    ["20 % failing", 0.2, 0.01, 85, 180],
    ["11 % failing", 0.11, 0.01, 300, 560],
    ["a total failure at 10 % share", 1, 0.1, 10, 14],
  ])("on %s", (_what, rate, share, median, slowest) => {
    const sorted = calls(rate, share);
    expect(sorted[19]).toBeLessThanOrEqual(median);
    expect(sorted[37]).toBeLessThanOrEqual(slowest);
  });

  it.each([
    ["a total failure at 100 % share with fallbacks", 1, true, 10, 12],
    ["20 % failing at 100 % share with fallbacks", 0.2, true, 500, 900],
    ["a total failure at 100 % share without fallbacks", 1, false, 10, 12],
  ])("on %s", (_what, rate, fallback, median, slowest) => {
    const sorted = calls(rate, 1, fallback);
    expect(sorted[19]).toBeLessThanOrEqual(median);
    expect(sorted[37]).toBeLessThanOrEqual(slowest);
  });
});
