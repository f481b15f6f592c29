import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { History, quantile } from "../../src/app/history.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { catalogue } from "../../src/metrics/catalogue.ts";
import type { PathTotals } from "../../src/metrics/recorder.ts";
import type { Path } from "../../src/migration/call.ts";

const bounds = (catalogue.callDuration.buckets ?? []).map((seconds) => seconds * 1000);

interface Counts {
  runs: number;
  failed: number;
  timedOut: number;
  durations: Float64Array;
}

const nothing = (): Counts => ({
  runs: 0,
  failed: 0,
  timedOut: 0,
  durations: new Float64Array(bounds.length + 1),
});

function watched(names: readonly string[] = ["a"]) {
  const clock = new ManualClock();
  const counts: Record<Path, Counts> = { legacy: nothing(), candidate: nothing() };
  const load = { calls: 0, bytes: 7, abandoned: 0 };
  const copy = (path: Path): PathTotals => ({
    ...counts[path],
    durations: counts[path].durations.slice(),
  });
  const history = new History({
    clock,
    operations: () => names.map((name) => ({ name, load: { legacy: load, candidate: load } })),
    totals: () => ({ legacy: copy("legacy"), candidate: copy("candidate") }),
  });
  /** Counts runs of the path that took up to the bucket's bound. */
  const run = (path: Path, count: number, bucket: number, failed = 0): void => {
    const of = counts[path];
    of.runs += count;
    of.failed += failed;
    of.durations[bucket] = (of.durations[bucket] ?? 0) + count;
  };
  return { clock, history, run };
}

describe("the history", () => {
  it("has a point every two seconds, with each path's rates since the one before", () => {
    const { clock, history, run } = watched();
    run("legacy", 10, 3);
    run("candidate", 4, 0, 2);
    clock.advance(2000);
    clock.advance(2000);
    const [first, second] = history.points("a");
    expect(first?.traffic.legacy.perSecond).toBe(5);
    expect(first?.traffic.candidate).toMatchObject({ perSecond: 2, failedPerSecond: 1 });
    expect(second?.traffic.legacy.perSecond).toBe(0);
    expect(second?.inFlightBytes).toEqual({ legacy: 7, candidate: 7 });
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBe(2000);
    history.close();
    expect(clock.pending).toBe(0);
  });

  it("forgets what is older than five minutes, and further operations than fifty", () => {
    const names = Array.from({ length: 60 }, (_, index) => `op-${index}`);
    const { clock, history } = watched(names);
    clock.advance(20 * 60_000);
    expect(history.points("op-49")).toHaveLength(150);
    expect(history.points("op-50")).toEqual([]);
    history.close();
  });

  it("tells the last minute's rates and latencies, and no run's from before", () => {
    const { clock, history, run } = watched();
    run("candidate", 600, bounds.length);
    clock.advance(62_000);
    run("candidate", 60, 0);
    clock.advance(58_000);
    const { legacy, candidate } = history.lastMinute("a");
    expect(candidate.perSecond).toBeCloseTo(1, 1);
    expect(candidate.p99Ms).toBeLessThanOrEqual(bounds[0] ?? 0);
    expect(legacy).toMatchObject({ perSecond: 0, p50Ms: null, p95Ms: null, p99Ms: null });
    expect(history.lastMinute("unknown").candidate.p50Ms).toBeNull();
    history.close();
  });
});

describe("a quantile of counted values", () => {
  it("lies within the bucket that holds it, and grows with its share", () => {
    const counts = fc.array(fc.nat(50), { minLength: 4, maxLength: 4 });
    const share = fc.double({ min: 0.01, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(counts, share, share, (numbers, one, other) => {
        const low = quantile(numbers, [1, 10, 100], Math.min(one, other));
        const high = quantile(numbers, [1, 10, 100], Math.max(one, other));
        if (numbers.every((count) => count === 0)) expect([low, high]).toEqual([null, null]);
        else expect(low ?? Number.NaN).toBeLessThanOrEqual(high ?? Number.NaN);
      }),
    );
  });

  it("is drawn by straight lines within a bucket, and ends at the last bound", () => {
    expect(quantile([0, 10, 0, 0], [1, 10, 100], 0.5)).toBe(5.5);
    expect(quantile([0, 0, 0, 3], [1, 10, 100], 0.5)).toBe(100);
    expect(quantile([], [], 0.5)).toBeNull();
  });
});
