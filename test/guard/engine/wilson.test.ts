import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newcombe, wilson, wilsonUpper } from "../../../src/guard/engine/wilson.ts";

const z = 1.959964;
const counts = fc
  .tuple(fc.integer({ min: 1, max: 100_000 }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([calls, share]) => ({ calls, bad: Math.round(calls * share) }));

describe("Wilson's interval", () => {
  // R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
  it.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])("of %d of %d is the published one", (bad, calls, lower, upper) => {
    const interval = wilson({ bad, calls }, z);
    expect(interval.lower).toBeCloseTo(lower, 4);
    expect(interval.upper).toBeCloseTo(upper, 4);
  });

  it("holds the measured share, lies in 0 to 1, and is the mirror image for good calls", () => {
    fc.assert(
      fc.property(
        counts,
        fc.double({ min: 0.1, max: 5, noNaN: true }),
        ({ bad, calls }, quantile) => {
          const { lower, upper } = wilson({ bad, calls }, quantile);
          const mirror = wilson({ bad: calls - bad, calls }, quantile);
          expect(lower).toBeGreaterThanOrEqual(0);
          expect(upper).toBeLessThanOrEqual(1);
          expect(lower).toBeLessThanOrEqual(bad / calls + 1e-12);
          expect(upper).toBeGreaterThanOrEqual(bad / calls - 1e-12);
          expect(mirror.lower).toBeCloseTo(1 - upper, 9);
          expect(wilsonUpper(bad, calls, quantile)).toBeCloseTo(upper, 12);
        },
      ),
    );
  });

  it("knows nothing without calls", () => {
    expect(wilson({ bad: 0, calls: 0 }, z)).toEqual({ lower: 0, upper: 1 });
    expect(newcombe({ bad: 0, calls: 0 }, { bad: 1, calls: 5 }, z)).toEqual({
      lower: -1,
      upper: 1,
    });
  });
});

describe("Newcombe's interval of a difference", () => {
  // R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10.
  it.each([
    [56, 70, 48, 80, 0.0524, 0.3339],
    [9, 10, 3, 10, 0.1705, 0.809],
    [6, 7, 2, 7, 0.0582, 0.8062],
    [5, 56, 0, 29, -0.0381, 0.1926],
    [0, 10, 0, 20, -0.1611, 0.2775],
    [0, 10, 0, 10, -0.2775, 0.2775],
    [10, 10, 0, 20, 0.6791, 1],
    [10, 10, 0, 10, 0.6075, 1],
  ])("of %d/%d - %d/%d is the published one", (a, m, b, n, lower, upper) => {
    const interval = newcombe({ bad: a, calls: m }, { bad: b, calls: n }, z);
    expect(interval.lower).toBeCloseTo(lower, 4);
    expect(interval.upper).toBeCloseTo(upper, 4);
  });

  it("changes its sign with the order", () => {
    fc.assert(
      fc.property(counts, counts, (a, b) => {
        const one = newcombe(a, b, z);
        const other = newcombe(b, a, z);
        expect(one.lower).toBeCloseTo(-other.upper, 9);
        expect(one.lower).toBeLessThanOrEqual(one.upper);
      }),
    );
  });
});
