import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { defaultLoopLimits, LoopPressure, tooBusy } from "../../src/shadow/loop-pressure.ts";

/** A loop that is busy for `share` of every millisecond of the clock. */
function setUp(): { pressure: LoopPressure; pass: (ms: number, share: number) => void } {
  const clock = new ManualClock();
  const times = { idle: 0, active: 0 };
  const pressure = new LoopPressure(clock, defaultLoopLimits, () => ({ ...times }));
  return {
    pressure,
    pass: (ms, share) => {
      times.active += ms * share;
      times.idle += ms * (1 - share);
      clock.advance(ms);
    },
  };
}

describe("the pressure on the event loop", () => {
  it("is none before a whole second was seen", () => {
    const { pressure, pass } = setUp();
    expect(pressure.busy).toBe(false);
    pass(999, 1);
    expect(pressure.busy).toBe(false);
    pass(1, 1);
    expect(pressure.busy).toBe(true);
  });

  it("goes only once the loop has clearly more time again", () => {
    const { pressure, pass } = setUp();
    const seen: boolean[] = [];
    for (const share of [0, 0.94, 0.96, 0.9, 0.86, 0.84, 0.9]) {
      pass(1000, share);
      seen.push(pressure.busy);
    }
    expect(seen).toEqual([false, false, true, true, true, false, false]);
  });

  it("says nothing after a pause in which nobody asked", () => {
    const { pressure, pass } = setUp();
    pass(1000, 1);
    expect(pressure.busy).toBe(false);
    pass(6000, 1);
    expect(pressure.busy).toBe(false);
    pass(1000, 1);
    expect(pressure.busy).toBe(true);
  });

  it("never sheds more for being less busy", () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.boolean(), share, share, (before, one, other) => {
        const [less, more] = [Math.min(one, other), Math.max(one, other)];
        const worse = tooBusy(before, more, defaultLoopLimits);
        expect(tooBusy(before, less, defaultLoopLimits) && !worse).toBe(false);
      }),
    );
  });
});
