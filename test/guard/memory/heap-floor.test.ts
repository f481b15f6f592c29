import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import {
  type FloorReading,
  type FloorState,
  HeapFloor,
  oldGenerationLimit,
  ownFloor,
} from "../../../src/guard/memory/heap-floor.ts";
import { parsePolicy } from "../../../src/guard/policy.ts";

const mib = 1024 * 1024;
const { memory } = parsePolicy({});

/** A floor read every 30 s: what major collections leave, in MiB, by the second. */
function follow(seconds: number, floorMib: (second: number) => number): FloorState {
  const clock = new ManualClock();
  const floor = new HeapFloor(memory, clock);
  for (let second = 0; second <= seconds; second += 30) {
    floor.take({ floorBytes: floorMib(second) * mib, heapRatio: 0.3 });
    clock.advance(30_000);
  }
  return floor.state();
}

describe("the heap's floor", () => {
  it("is a leak when it rises for ten minutes and by a third", () => {
    const state = follow(1200, (second) => 100 + second / 20);
    expect(state).toMatchObject({ leaking: true });
    expect(state.bytesPerSecond / mib).toBeCloseTo(0.05, 3);
  });

  it.each<[string, number, (second: number) => number]>([
    ["is flat, however the sawtooth above it looks", 3600, (s) => 100 + (s % 90) / 3],
    ["has risen for less than ten minutes", 600, (s) => 100 + s / 5],
    ["rises in the warm-up only", 3600, (s) => 100 + Math.min(s, 170)],
    ["rises by less than a third", 3600, (s) => 100 + s / 200],
    ["has one odd point", 1500, (s) => (s === 900 ? 900 : 100)],
    ["jumps once and stays", 3600, (s) => (s < 2400 ? 100 : 200)],
  ])("is no leak when it %s", (_what, seconds, floorMib) => {
    expect(follow(seconds, floorMib).leaking).toBe(false);
  });

  it("needs eight points", () => {
    const clock = new ManualClock();
    const floor = new HeapFloor(memory, clock);
    clock.advance(200_000);
    for (let point = 0; point < 8; point += 1) {
      expect(floor.state().leaking).toBe(false);
      floor.take({ floorBytes: (100 + point * 20) * mib, heapRatio: 0.3 });
      clock.advance(100_000);
    }
    expect(floor.state()).toMatchObject({ leaking: true, points: 8 });
    floor.warmUp();
    expect(floor.state()).toMatchObject({ leaking: false, points: 0 });
  });

  it("never calls a floor that only falls a leak, and keeps few points", () => {
    const falls = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 20, maxLength: 300 });
    fc.assert(
      fc.property(falls, (steps) => {
        let level = 20_000;
        const state = follow(steps.length * 30, (second) => {
          level -= steps[second / 30] ?? 0;
          return level;
        });
        expect(state.leaking).toBe(false);
        expect(state.points).toBeLessThanOrEqual(120);
      }),
      { numRuns: 30 },
    );
  });

  it("is the end of the heap after three major collections in a row that freed too little", () => {
    const floor = new HeapFloor(memory, new ManualClock());
    const take = (heapRatio: number): boolean => {
      floor.take({ floorBytes: mib, heapRatio });
      return floor.state().full;
    };
    expect([0.9, 0.9, 0.8, 0.86, 0.86].map(take)).toEqual([false, false, false, false, false]);
    expect(take(0.86)).toBe(true);
    expect(take(0.5)).toBe(false);
  });

  it("is measured against the old generation alone", () => {
    const defaultLimit = oldGenerationLimit(4288 * mib, []);
    expect(defaultLimit).toBeLessThan(4288 * mib);
    expect(oldGenerationLimit(320 * mib, ["--max-old-space-size=128"])).toBe(128 * mib);
    expect(oldGenerationLimit(320 * mib, ["--max_old_space_size", "128"])).toBe(128 * mib);
    expect(oldGenerationLimit(524 * mib, ["--max-semi-space-size=4"])).toBe(512 * mib);
  });

  it("is read after this process's own major collections", async () => {
    const { promise, resolve } = Promise.withResolvers<FloorReading>();
    const stop = ownFloor.subscribe(resolve);
    let kept: unknown[] = [];
    const fill = setInterval(() => {
      kept = Array.from({ length: 300_000 }, (_, n) => ({ n }));
    }, 1);
    const reading = await promise;
    clearInterval(fill);
    stop();
    expect(kept.length).toBeGreaterThan(0);
    expect(reading.floorBytes).toBeGreaterThan(mib);
    expect(reading.heapRatio).toBeGreaterThan(0);
    expect(reading.heapRatio).toBeLessThan(1);
  });
});
