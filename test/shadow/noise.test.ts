import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Operation } from "../../src/migration/operation.ts";
import type { Comparison } from "../../src/shadow/comparison.ts";
import { defaultNoiseLimits, isNoise, Noise } from "../../src/shadow/noise.ts";
import { key, read, settle, setUp } from "./shadowed-facade.ts";

const never = (): undefined => undefined;
const operation = new Operation(
  { name: "test.read", kind: "read", legacy: never, candidate: never },
  never,
);

const differing = (...paths: string[]): Comparison => ({
  kind: "different",
  differences: paths.map((path) => ({ path, kind: "value", legacy: "1", candidate: "2" })),
  truncated: false,
});
const same: Comparison = { kind: "same" };

describe("whether a field differs by itself", () => {
  const judged = (raw: number, noise: number, of = 1000) =>
    isNoise({ raw, rawOf: of, noise, noiseOf: of }, defaultNoiseLimits);

  it.each([
    // Diffy's thresholds: 20 % of the sum, 0.03 % of all.
    [1000, 1000, true],
    [300, 200, true],
    [301, 200, false],
    [1000, 500, false],
    [5, 900, true],
    [1, 1, true],
    [100, 0, false],
    [1, 0, false],
  ])(
    "with %i of 1000 between the paths and %i of 1000 within legacy: %s",
    (raw, noise, expected) => {
      expect(judged(raw, noise)).toBe(expected);
    },
  );

  it("is not known before legacy was compared with itself often enough", () => {
    const seen = { raw: 50, rawOf: 50, noise: 19, noiseOf: 19 };
    expect(isNoise(seen, defaultNoiseLimits)).toBe(false);
    expect(isNoise({ ...seen, noise: 20, noiseOf: 20 }, defaultNoiseLimits)).toBe(true);
  });

  it("is never so for a field that never differed within legacy, nor for one that differs less often", () => {
    const count = fc.integer({ min: 20, max: 10_000 });
    fc.assert(
      fc.property(count, count, fc.nat(), (rawOf, noiseOf, raw) => {
        expect(isNoise({ raw, rawOf, noise: 0, noiseOf }, defaultNoiseLimits)).toBe(false);
      }),
    );
    fc.assert(
      fc.property(count, fc.integer({ min: 1, max: 100 }), fc.nat(100), (of, noise, less) => {
        const raw = Math.max(0, noise - less);
        expect(isNoise({ raw, rawOf: of, noise, noiseOf: of }, defaultNoiseLimits)).toBe(true);
      }),
    );
  });
});

describe("noise", () => {
  const learnt = (limits = {}): Noise => {
    const noise = new Noise(limits);
    for (let n = 0; n < 30; n += 1) noise.learn(operation, differing("at", `items.${n}.seen`));
    for (let n = 0; n < 30; n += 1) noise.sift(operation, differing("at", "items.7.seen"));
    return noise;
  };

  it("is left out of what differs, and listed with its counts", () => {
    const noise = learnt();
    expect(noise.sift(operation, differing("at", "items.3.seen"))).toEqual({
      comparison: { kind: "same" },
      noise: ["at", "items.*.seen"],
    });
    const mixed = noise.sift(operation, differing("at", "size"));
    expect(mixed).toMatchObject({ comparison: { differences: [{ path: "size" }] }, noise: ["at"] });
    expect(noise.fields("test.read")).toMatchObject([
      { path: "at", raw: 32, rawOf: 32, noise: 30, noiseOf: 30, isNoise: true },
      { path: "items.*.seen", isNoise: true },
      { path: "size", raw: 1, noise: 0, isNoise: false },
    ]);
    expect(noise.fields("test.other")).toEqual([]);
  });

  it("hides nothing of what was not looked at to the end", () => {
    const truncated = { ...differing("at"), truncated: true };
    expect(learnt().sift(operation, truncated).comparison).toEqual(truncated);
  });

  it("is never that one path answered and the other did not", () => {
    const noise = new Noise();
    for (let n = 0; n < 30; n += 1) noise.learn(operation, differing("(outcome)"));
    expect(noise.sift(operation, differing("(outcome)")).comparison.kind).toBe("different");
  });

  it("takes no note of what cannot be compared", () => {
    const noise = learnt();
    const incomparable = { kind: "incomparable", why: "aborted", detail: "" } as const;
    noise.learn(operation, incomparable);
    expect(noise.sift(operation, incomparable)).toEqual({ comparison: incomparable, noise: [] });
    expect(noise.fields()[0]).toMatchObject({ rawOf: 30, noiseOf: 30 });
  });

  it("remembers so many fields and no more, and those beyond never count as noise", () => {
    const noise = new Noise({ fieldsMax: 10 });
    for (let n = 0; n < 1000; n += 1) noise.learn(operation, differing(`field${n}`));
    expect(noise.fields()).toHaveLength(10);
    for (let n = 0; n < 30; n += 1) noise.learn(operation, differing("late"));
    expect(noise.sift(operation, differing("late")).comparison.kind).toBe("different");
  });

  it("fades: what was noise long ago is one no more", () => {
    const noise = learnt({ memory: 64 });
    for (let n = 0; n < 1000; n += 1) noise.learn(operation, same);
    for (let n = 0; n < 1000; n += 1) noise.sift(operation, differing("at"));
    expect(noise.fields()[0]?.rawOf).toBeLessThanOrEqual(64);
    expect(noise.sift(operation, differing("at")).comparison.kind).toBe("different");
  });
});

describe("a shadow that samples noise", () => {
  const stamped = () => {
    let ticks = 0;
    return () => {
      ticks += 1;
      return { at: ticks, size: 1 };
    };
  };

  it("runs legacy again, after the caller and beside the candidate, and learns from it", async () => {
    const { facade, shadow, results } = setUp({ noise: { readShare: 1 } });
    const stamp = stamped();
    const call = facade.migrate(read(stamp, stamp));
    for (let n = 0; n < 25; n += 1) {
      await call(n, key);
      await settle();
    }
    expect(results.slice(0, 20).map(({ result }) => result)).not.toContain("same");
    expect(results.at(-1)).toMatchObject({ result: "same", noise: ["at"] });
    expect(shadow.noise.fields()).toMatchObject([{ path: "at", noiseOf: 25, isNoise: true }]);
  });

  it("still finds what only the candidate does", async () => {
    const { facade, results } = setUp({ noise: { readShare: 1 } });
    const stamp = stamped();
    const call = facade.migrate(read(stamp, () => ({ ...stamp(), size: 2 })));
    for (let n = 0; n < 25; n += 1) {
      await call(n, key);
      await settle();
    }
    expect(results.at(-1)).toMatchObject({
      result: "different",
      noise: ["at"],
      comparison: { differences: [{ path: "size" }] },
    });
  });

  it("does so for a hundredth of reads and never for writes, unless told otherwise", async () => {
    const { facade, shadow } = setUp({ budget: { perMinuteMax: 1e6 } });
    let legacyRuns = 0;
    const legacy = () => {
      legacyRuns += 1;
    };
    const call = facade.migrate(read(legacy, never));
    for (let n = 0; n < 2000; n += 1) {
      await call(n, key);
      if (n % 50 === 49) await settle();
    }
    await settle();
    expect(legacyRuns - 2000).toBeGreaterThan(5);
    expect(legacyRuns - 2000).toBeLessThan(45);
    const write = { ...read(never, never), kind: "write" as const };
    expect(shadow.noise.shareOf(new Operation(write, never))).toBe(0);
  });

  it("counts no noise run as a shadow, and skips none aloud", async () => {
    const { facade, shadow, results } = setUp({
      noise: { readShare: 1 },
      budget: { perMinuteMax: 1 },
    });
    const seen: string[] = [];
    shadow.observations.subscribe(({ call }) => seen.push(call.path));
    await facade.migrate(read(never, never))(1, key);
    await settle();
    expect([results.length, seen, shadow.skipped.size]).toEqual([1, ["candidate"], 0]);
  });

  it("rehearses legacy where writes are sampled, and gives back what it holds once", async () => {
    const { facade, shadow } = setUp({ noise: { writeShare: 1 } });
    const log: string[] = [];
    const { legacy, candidate } = read(never, never);
    const write = facade.migrate({
      ...{ name: "test.write", kind: "write", legacy, candidate },
      rehearse: {
        open: (_, call) => ({
          run: () => void log.push(call.path),
          close: () => Promise.resolve(),
        }),
        hold: () => ({ bytes: 1, release: () => void log.push("release") }),
      },
    });
    await write(1, key);
    await settle();
    expect(log).toEqual(["candidate", "legacy", "release"]);
    expect(shadow.heldBytes).toBe(0);
  });
});
