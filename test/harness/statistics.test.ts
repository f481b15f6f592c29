import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeOf } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import {
  bootstrapInterval,
  median,
  medianOfGroups,
  quantile,
} from "../../src/harness/statistics.ts";

const value = fc.double({ min: -1e9, max: 1e9, noNaN: true });
const values = fc.array(value, { minLength: 1, maxLength: 40 });
const groups = fc.array(values, { minLength: 1, maxLength: 5 });
const share = fc.double({ min: 0, max: 1, noNaN: true });

function codeThrownBy(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

describe("the median and quantiles", () => {
  it("are the known ones of small lists", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(quantile([10, 20, 30, 40, 50], 0.25)).toBe(20);
    expect(quantile([10, 20], 0.75)).toBe(17.5);
    expect(quantile([7], 0.99)).toBe(7);
  });

  it("lie between the smallest and the largest value, which are the quantiles 0 and 1", () => {
    fc.assert(
      fc.property(values, share, (list, q) => {
        const [low, high] = [Math.min(...list), Math.max(...list)];
        expect(quantile(list, 0)).toBe(low);
        expect(quantile(list, 1)).toBe(high);
        // A weighted mean of two neighbours may be off by one rounding.
        const slack = 1e-9 * Math.max(1, Math.abs(low), Math.abs(high));
        expect(quantile(list, q)).toBeGreaterThanOrEqual(low - slack);
        expect(quantile(list, q)).toBeLessThanOrEqual(high + slack);
      }),
    );
  });

  it("do not depend on the order of the values and leave the list as it was", () => {
    fc.assert(
      fc.property(values, share, (list, q) => {
        const before = [...list];
        expect(quantile([...list].reverse(), q)).toBe(quantile(list, q));
        expect(list).toEqual(before);
      }),
    );
  });

  it("grow with the share", () => {
    fc.assert(
      fc.property(values, share, share, (list, a, b) => {
        const slack = 1e-9 * Math.max(1, ...list.map(Math.abs));
        expect(quantile(list, Math.min(a, b))).toBeLessThanOrEqual(
          quantile(list, Math.max(a, b)) + slack,
        );
      }),
    );
  });

  it("refuse an empty list and a share outside 0 to 1", () => {
    expect(codeThrownBy(() => median([]))).toBe("HARNESS_NO_SAMPLES");
    expect(codeThrownBy(() => quantile([1], 1.5))).toBe("HARNESS_INVALID_QUANTILE");
    expect(codeThrownBy(() => quantile([1], Number.NaN))).toBe("HARNESS_INVALID_QUANTILE");
  });
});

describe("the bootstrap interval", () => {
  const draw = (lists: readonly (readonly number[])[], seed: number) =>
    bootstrapInterval(lists, { random: seededRandom(seed), resamples: 200 });

  it("lies within the values and is the same for the same seed", () => {
    fc.assert(
      fc.property(groups, fc.nat(), (lists, seed) => {
        const interval = draw(lists, seed);
        const all = lists.flat();
        const slack = 1e-9 * Math.max(1, ...all.map(Math.abs));
        expect(interval.low).toBeLessThanOrEqual(interval.high);
        expect(interval.low).toBeGreaterThanOrEqual(Math.min(...all) - slack);
        expect(interval.high).toBeLessThanOrEqual(Math.max(...all) + slack);
        expect(draw(lists, seed)).toEqual(interval);
      }),
      { numRuns: 40 },
    );
  });

  it("is a point when every value is the same", () => {
    expect(draw([[5, 5, 5]], 1)).toEqual({ low: 5, high: 5 });
  });

  it("narrows with more samples", () => {
    const random = seededRandom(9);
    const noise = Array.from({ length: 400 }, () => random.next());
    const few = draw([noise.slice(0, 16)], 2);
    const many = draw([noise], 2);
    expect(many.high - many.low).toBeLessThan((few.high - few.low) / 2);
  });

  it("widens when launches disagree, however many samples each has", () => {
    const launch = (level: number) => Array.from({ length: 100 }, (_, i) => level + i / 1e6);
    const { low, high } = draw([launch(1), launch(2), launch(3)], 3);
    expect(medianOfGroups([launch(1), launch(2), launch(3)])).toBeCloseTo(2, 3);
    expect(high - low).toBeGreaterThan(1);
  });

  it("refuses nothing and an empty launch", () => {
    expect(codeThrownBy(() => draw([], 1))).toBe("HARNESS_NO_SAMPLES");
    expect(codeThrownBy(() => draw([[1], []], 1))).toBe("HARNESS_NO_SAMPLES");
  });
});
