import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/base/random.ts";
import { Cusum } from "../../../src/guard/engine/cusum.ts";
import {
  FailureKeys,
  hashKey,
  KeyCensus,
  KeySpread,
} from "../../../src/guard/engine/failure-keys.ts";
import { LatencyHistogram } from "../../../src/guard/engine/latency-histogram.ts";
import { RateDetector } from "../../../src/guard/engine/rate-detector.ts";
import { CountWindow } from "../../../src/guard/engine/window.ts";

const settings = { delta: 0.05, baselineRate: 0.01, baselineCallsMin: 30, threshold: 14 };
const cusum = (): Cusum => {
  const made = new Cusum([1, 1], 1);
  made.weigh(0, 0.05, 0.1);
  made.weigh(1, 0.05, 0.9);
  return made;
};
const at = new Float64Array(1);

describe("a CUSUM", () => {
  it("never raises a batch above what its bits one by one would reach, in whatever order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.boolean(), { maxLength: 30 }), { maxLength: 20 }),
        (batches) => {
          const single = cusum();
          const batched = cusum();
          for (const bits of batches) {
            let peak = 0;
            for (const bad of bits) {
              if (bad) single.one(at, 1e9);
              else single.zero();
              peak = Math.max(peak, single.value);
            }
            batched.batch(bits.filter(Boolean).length, bits.length, at, 1e9);
            if (bits.length > 0) expect(batched.value).toBeLessThanOrEqual(peak + 1e-9);
          }
        },
      ),
    );
  });

  it("gives the same sum for a batch in any order", () => {
    const one = cusum();
    const other = cusum();
    one.batch(3, 10, at, 1e9);
    other.batch(3, 10, at, 1e9);
    expect(one.value).toBe(other.value);
  });

  it("forgets a healthy past and its cap bounds recovery", () => {
    const fresh = cusum();
    const old = cusum();
    for (let n = 0; n < 100_000; n += 1) old.zero();
    for (let n = 0; n < 5; n += 1) {
      fresh.one(at, 20);
      old.one(at, 20);
    }
    expect(old.value).toBe(fresh.value);
    for (let n = 0; n < 1000; n += 1) old.one(at, 20);
    // Both sums are at their cap, and the value is their mixture.
    expect(old.value).toBeCloseTo(20 + Math.log(2));
  });

  it("is the logarithm of its alternatives' mixture, in which only the weights' proportions matter", () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 100 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 }),
        (bits, weights) => {
          const rates = [0.1, 0.3, 0.9];
          const feed = (made: Cusum): number => {
            for (const bad of bits) {
              if (bad) made.one(at, 100);
              else made.zero();
            }
            return made.value;
          };
          const mixed = (of: readonly number[]): number => {
            const made = new Cusum(of, 1);
            for (const [j, rate] of rates.entries()) made.weigh(j, 0.05, rate);
            return feed(made);
          };
          const likelihoods = rates.map((rate) => {
            const made = new Cusum([1], 1);
            made.weigh(0, 0.05, rate);
            return Math.exp(feed(made));
          });
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          const mean = likelihoods.reduce(
            (sum, each, j) => sum + ((weights[j] ?? 0) / total) * each,
            0,
          );
          // Above the mean by what the threshold pays for: as many times as there are alternatives.
          expect(mixed(weights)).toBeCloseTo(Math.log(1 + 3 * (mean - 1)), 9);
          expect(mixed(weights.map((weight) => weight * 7))).toBeCloseTo(mixed(weights), 9);
        },
      ),
      { seed: 1, numRuns: 100 },
    );
  });

  it("lets at least e^h / J bits pass on average before h, while bits are 1 no more often than p0", () => {
    const random = seededRandom(8);
    const [bitsMin, p0, weights] = [300, 0.05, [1, 6, 3]];
    const h = Math.log(weights.length * bitsMin);
    let bits = 0;
    const runs = 200;
    for (let run = 0; run < runs; run += 1) {
      const made = new Cusum(weights, 1);
      for (const [j, rate] of [0.08, 0.15, 0.6].entries()) made.weigh(j, p0, rate);
      while (made.value < h) {
        if (random.next() < p0) made.one(at, 100);
        else made.zero();
        bits += 1;
      }
    }
    expect(bits / runs).toBeGreaterThan(bitsMin);
  });
});

describe("BLAME", () => {
  it("does not move when both paths fail more often by a common factor, however it moves in time", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 50, maxLength: 200 }),
        (swing) => {
          const detector = new RateDetector(settings);
          // One in five calls goes to the candidate, and so does one in five of whatever fails.
          for (const [second, bad] of swing.entries()) {
            detector.advance(second + 1);
            for (let n = 0; n < 20; n += 1) {
              for (let l = 0; l < 4; l += 1) detector.legacy(n < bad);
              if (n < bad) detector.candidateBad(second * 20 + n + 1, false);
              else detector.candidateGood();
            }
            expect(detector.blameAlarm).toBe(false);
          }
        },
      ),
      { seed: 1, numRuns: 50 },
    );
  });
});

describe("the rolling window", () => {
  it("agrees with counting by hand, over any pauses", () => {
    const events = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 120 }), fc.nat(2), fc.integer({ min: 1, max: 5 })),
      {
        maxLength: 100,
      },
    );
    fc.assert(
      fc.property(events, (steps) => {
        const window = new CountWindow(3);
        const all: { second: number; column: number; count: number }[] = [];
        let second = 0;
        for (const [pause, column, count] of steps) {
          second += pause;
          window.advance(second);
          window.add(column, count);
          all.push({ second, column, count });
          for (const each of [0, 1, 2]) {
            const sum = (span: number): number =>
              all
                .filter((e) => e.column === each && e.second > second - span)
                .reduce((total, e) => total + e.count, 0);
            expect(window.short(each)).toBe(sum(60));
            expect(window.long(each)).toBe(sum(300));
          }
        }
      }),
    );
  });
});

describe("failing keys", () => {
  it("counts at most so many failures of one key in a minute, and again in the next", () => {
    const keys = new FailureKeys();
    const key = hashKey("poison");
    expect([1, 2, 3, 4].map(() => keys.admit(key, 10, 2))).toEqual([true, true, false, false]);
    expect(keys.admit(hashKey("other"), 10, 2)).toBe(true);
    expect(keys.admit(key, 61, 2)).toBe(true);
  });

  it("finds a key that holds most of the failures among any others", () => {
    const spread = new KeySpread();
    for (let n = 0; n < 100; n += 1) {
      spread.add(hashKey("poison"));
      if (n % 3 === 0) spread.add(hashKey(`user ${n}`));
    }
    expect(spread.topShare).toBeGreaterThan(0.7);
    expect(spread.distinct).toBe(8);
  });

  it("counts the keys that are there at present, and no further than it needs", () => {
    const census = new KeyCensus(3);
    for (const key of ["a", "a", "b"]) census.see(key, 1);
    expect(census.count).toBe(2);
    for (const key of ["c", "d"]) census.see(key, 1);
    expect(census.count).toBe(3);
    census.see("a", 901);
    expect(census.count).toBe(1);
  });
});

describe("the latency histogram", () => {
  it("is within 2 % of the exact quantile", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.02, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        (durations, share) => {
          const histogram = new LatencyHistogram();
          for (const ms of durations) histogram.add(ms);
          const sorted = durations.toSorted((a, b) => a - b);
          const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
          const found = histogram.quantile(share) ?? 0;
          expect(found).toBeGreaterThanOrEqual(exact * 0.999_999);
          expect(found).toBeLessThanOrEqual(exact * 1.020_001);
        },
      ),
    );
    expect(new LatencyHistogram().quantile(0.5)).toBeNull();
  });
});

describe("the onset of an alarm", () => {
  it("is the moment from which the candidate failed, with both paths' counts since then", () => {
    const random = seededRandom(4);
    const detector = new RateDetector(settings);
    for (let second = 1; second <= 600; second += 1) {
      detector.advance(second);
      for (let n = 0; n < 99; n += 1) detector.legacy(random.next() < 0.01);
      if (second > 590) detector.candidateBad(second, false);
      else detector.candidateGood();
    }
    const { onset } = detector.state();
    expect(onset).toMatchObject({ second: 591, candidate: { bad: 10, calls: 10 } });
    expect(onset.legacy.calls).toBeGreaterThan(800);
  });
});
