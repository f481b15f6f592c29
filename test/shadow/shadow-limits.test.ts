import { describe, expect, it } from "vitest";
import { countsOf, held, key, read, settle, setUp } from "./shadowed-facade.ts";

describe("the budget of the shadow", () => {
  it("runs so many at a time, lets so many wait, and skips the rest", async () => {
    const { facade, shadow, results } = setUp({ budget: { concurrentMax: 2, queueMax: 3 } });
    const { path, release, calls } = held<number>();
    const call = facade.migrate(read(() => 1, path));
    for (let n = 0; n < 2; n += 1) await call(n, key);
    await settle();
    for (let n = 0; n < 3; n += 1) await call(n, key);
    await settle();
    for (let n = 0; n < 4; n += 1) await call(n, key);
    await settle();
    expect([shadow.inFlight, shadow.waiting, calls.length]).toEqual([2, 3, 2]);
    expect(countsOf(shadow)).toEqual({ "queue-full": 4 });
    release(1);
    await settle();
    expect([results.length, shadow.inFlight, shadow.waiting]).toEqual([5, 0, 0]);
  });

  it("does not run what waited too long for its turn", async () => {
    const { facade, shadow, clock } = setUp({ budget: { concurrentMax: 1 } });
    const { path, release } = held<number>();
    const call = facade.migrate(read(() => 1, path));
    await call(1, key);
    await call(2, key);
    await settle();
    clock.advance(5001);
    release(1);
    await settle();
    expect(countsOf(shadow)).toEqual({ waited: 1 });
  });

  it("keeps within its memory, also with a cost that is no number", async () => {
    const { facade, shadow, results } = setUp({ budget: { inFlightBytesMax: 100 } });
    const { path, release } = held<number>();
    const cost = (n: number) => ({ legacy: 0, candidate: n });
    const call = facade.migrate(read(() => 1, path, { cost }));
    for (const bytes of [Number.NaN, 60, 60, 101, 40]) await call(bytes, key);
    await settle();
    expect(shadow.bytesInFlight).toBe(100);
    expect(countsOf(shadow)).toEqual({ "no-memory": 1, "too-large": 1 });
    release(1);
    await settle();
    expect([results.length, shadow.bytesInFlight]).toEqual([3, 0]);
  });

  it("starts only so many of one operation in a minute", async () => {
    const { facade, shadow, clock, results } = setUp({ budget: { perMinuteMax: 2 } });
    const call = facade.migrate(
      read(
        () => 1,
        () => 1,
      ),
    );
    for (let n = 0; n < 3; n += 1) await call(n, key);
    await settle();
    clock.advance(60_000);
    await call(1, key);
    await settle();
    expect([results.length, countsOf(shadow)]).toEqual([3, { rate: 1 }]);
  });

  it("sheds every shadow under pressure", async () => {
    let pressed = true;
    const { facade, shadow, results } = setUp({ pressure: () => pressed });
    const call = facade.migrate(
      read(
        () => 1,
        () => 1,
      ),
    );
    await call(1, key);
    await settle();
    pressed = false;
    await call(1, key);
    await settle();
    expect([results.length, countsOf(shadow)]).toEqual([1, { pressure: 1 }]);
  });

  it("samples a share of the calls, and counts the others as skipped", async () => {
    const { facade, shadow, results } = setUp({ budget: { share: 0.25, perMinuteMax: 1e6 } });
    const call = facade.migrate(
      read(
        () => 1,
        () => 1,
      ),
    );
    for (let n = 0; n < 400; n += 1) {
      await call(n, key);
      if (n % 50 === 49) await settle();
    }
    await settle();
    expect(results.length).toBeGreaterThan(70);
    expect(results.length).toBeLessThan(130);
    expect(countsOf(shadow)).toEqual({ "sampled-out": 400 - results.length });
  });

  it("abandons a shadow at its deadline, tells its path, and starts none while too many hang", async () => {
    const { facade, shadow, clock, results } = setUp({ budget: { abandonedMax: 1 } });
    const { path, release, calls } = held<number>();
    const cost = () => ({ legacy: 0, candidate: 5 });
    const call = facade.migrate(read(() => 1, path, { cost }));
    await call(1, key);
    await settle();
    const signal = calls[0]?.signal;
    clock.advance(30_000);
    await settle();
    expect(results).toMatchObject([{ result: "abandoned", blame: "unknown" }]);
    expect(signal?.reason).toMatchObject({ code: "SHADOW_ABANDONED" });
    const { load } = facade.operation("test.read");
    expect([shadow.abandoned, load.candidate.abandoned, shadow.bytesInFlight]).toEqual([1, 1, 5]);
    await call(2, key);
    await settle();
    expect(countsOf(shadow)).toEqual({ abandoned: 1 });
    release(1);
    await settle();
    expect([shadow.abandoned, load.candidate.abandoned, shadow.bytesInFlight]).toEqual([0, 0, 0]);
    expect(results).toHaveLength(1);
  });
});

describe("closing the shadow", () => {
  it("cuts off what runs, drops what waits, takes nothing more and leaves no timer", async () => {
    const { facade, shadow, clock, results } = setUp({ budget: { concurrentMax: 1 } });
    const { path, calls } = held<number>();
    const call = facade.migrate(read(() => 1, path));
    await call(1, key);
    await call(2, key);
    await settle();
    await call(3, key);
    await shadow.close();
    await call(4, key);
    await settle();
    expect(calls).toHaveLength(1);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(countsOf(shadow)).toEqual({ closed: 4 });
    expect([results.length, shadow.inFlight, shadow.waiting, clock.pending]).toEqual([0, 0, 0, 0]);
  });
});
