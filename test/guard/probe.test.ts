import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { createChangeover, staticFlags } from "../../src/changeover.ts";
import { PairTest } from "../../src/guard/engine/pair-test.ts";
import { ActiveCall } from "../../src/migration/call.ts";
import { settle } from "../support/facade.ts";
import { anOperation, healthyFor, observationOf, type Watching, watching } from "./support.ts";

describe("the pair test", () => {
  it("blames the candidate for what it alone fails, and takes no notice of what both do", () => {
    const test = new PairTest();
    for (let n = 0; n < 100; n += 1) test.add(true, true);
    expect(test.evidence).toBe(0);
    for (let n = 0; n < 25; n += 1) test.add(true, false);
    expect(test.answer(12, 0.05)).toBe("worse");
  });

  it("clears a candidate whose failures are as often legacy's, and one that has none", () => {
    const alike = new PairTest();
    for (let n = 0; n < 300; n += 1) alike.add(n % 2 === 0, n % 2 === 1);
    expect(alike.answer(12, 0.05)).toBe("as-bad");
    const calm = new PairTest();
    for (let n = 0; n < 400; n += 1) calm.add(false, false);
    expect(calm.answer(12, 0.05)).toBe("as-bad");
  });

  it("says nothing on little", () => {
    const test = new PairTest();
    for (let n = 0; n < 10; n += 1) test.add(true, false);
    expect(test.answer(12, 0.05)).toBe("open");
  });

  it("does not care which of the two kinds of agreement it sees, nor in which order", () => {
    const pair = fc.tuple(fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(fc.array(pair), (pairs) => {
        const forward = new PairTest();
        const backward = new PairTest();
        for (const [candidate, legacy] of pairs) forward.add(candidate, legacy);
        for (const [candidate, legacy] of pairs.toReversed()) backward.add(candidate, legacy);
        expect(backward.evidence).toBeCloseTo(forward.evidence, 6);
        expect(forward.onlyCandidate + forward.onlyLegacy).toBeLessThanOrEqual(forward.pairs);
      }),
    );
  });
});

/** Calls at 100 % share; the shadow of a picked call is answered at once. */
function serve(
  w: Watching,
  calls: number,
  bad: { candidate: (n: number) => boolean; legacy: (n: number) => boolean },
  shadow: "runs" | "is skipped" = "runs",
  fallback?: "succeeded",
): number {
  for (let n = 0; n < calls; n += 1) {
    if (w.operation.latch.tripped) return n;
    const probed = w.operation.probesWanted > 0;
    if (probed) w.operation.probesWanted -= 1;
    const decision = { path: "candidate", shadow: probed, reason: "flag-on" } as const;
    const kind = bad.candidate(n) ? "failed" : "succeeded";
    const answered = kind === "failed" && fallback !== undefined ? { fallback } : {};
    const happening = { path: "candidate", kind, ...answered } as const;
    const seen = observationOf(happening, w.operation, w.clock.now());
    const marked = probed ? { ...decision, probe: true as const } : decision;
    const key = `user-${n}`;
    const options = { requestId: `r-${n}-${w.clock.now()}` };
    const call = new ActiveCall("test.read", "candidate", "served", key, options);
    w.guard.observe({ ...seen, call, decision: marked });
    if (!probed || (kind === "failed" && fallback !== undefined)) continue;
    if (shadow === "is skipped") {
      w.guard.observeSkip("test.read", "pressure");
      continue;
    }
    const outcome = bad.legacy(n) ? "failed" : "succeeded";
    const beside = observationOf({ path: "legacy", kind: outcome }, w.operation, w.clock.now());
    const shadowCall = call.again("legacy", "shadow", undefined);
    w.guard.observe({ ...beside, call: shadowCall, decision: marked });
    if (n % 100 === 99) w.clock.advance(1000);
  }
  return calls;
}

const probing = (policy: object = {}, kind: "read" | "write" = "read"): Watching => {
  const w = watching(
    { newException: { enabled: false }, exposureBudget: { enabled: false }, ...policy },
    { operation: anOperation({ kind }) },
  );
  healthyFor(w, 60, 50, 50);
  healthyFor(w, 70, 0, 100);
  return w;
};
const every =
  (n: number) =>
  (call: number): boolean =>
    call % n === 0;
const never = (): boolean => false;

describe("a probe", () => {
  it("is not asked for while all is well", () => {
    expect(probing().operation.probesWanted).toBe(0);
  });

  it("blames a candidate that fails where legacy does not, soon after the alarm", () => {
    const w = probing();
    const calls = serve(w, 1000, { candidate: () => true, legacy: never });
    expect(calls).toBeLessThanOrEqual(60);
    expect(w.operation.latch.record?.by.name).toBe("error-rate");
    expect(w.operation.probesWanted).toBe(0);
  });

  it("blames a candidate of which one call in nine fails", () => {
    const w = probing();
    expect(serve(w, 3000, { candidate: every(9), legacy: never })).toBeLessThan(1600);
    expect(w.operation.latch.tripped).toBe(true);
  });

  it("holds and pages when legacy is as bad, and says on how many calls that rests", () => {
    const w = probing();
    serve(w, 3000, { candidate: every(3), legacy: (n) => n % 3 === 1 });
    expect(w.operation.latch.tripped).toBe(false);
    const verdict = w.verdict("error-rate");
    expect(verdict).toMatchObject({ kind: "suspect", action: "hold", page: true });
    expect(verdict.sentence).toMatch(/Legacy is as bad: on \d+ calls that both paths ran with/);
  });

  it("keeps to its number of calls, rests, and asks again while the alarm lasts", () => {
    const w = probing({ engine: { probe: { pairsMax: 40, threshold: 40 } } });
    const pairs = { candidate: every(3), legacy: (n: number) => n % 7 === 1 };
    serve(w, 200, pairs);
    expect(w.operation.probesWanted).toBe(0);
    w.clock.advance(2000);
    expect(w.verdict("error-rate").sentence).toMatch(/without a clear answer: on 40 calls/);
    expect(w.verdict("error-rate")).toMatchObject({ action: "hold", page: true });
    w.clock.advance(60_000);
    serve(w, 5, { candidate: () => true, legacy: never });
    expect(w.operation.probesWanted).toBeGreaterThan(0);
  });

  it("ends after its time when no pair comes back", () => {
    const w = probing();
    for (let n = 0; n < 30; n += 1) w.see({ path: "candidate", kind: "failed" });
    expect(w.operation.probesWanted).toBe(16);
    w.clock.advance(61_000);
    expect(w.operation.probesWanted).toBe(0);
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("blames nobody when its shadows are shed: losing pairs is no evidence", () => {
    const w = probing();
    serve(w, 2000, { candidate: every(3), legacy: every(3) }, "is skipped");
    expect(w.operation.latch.tripped).toBe(false);
    w.clock.advance(1000);
    expect(w.verdict("error-rate")).toMatchObject({ kind: "suspect", action: "hold" });
  });

  it("is given up after a few lost pairs: those that fallbacks make must not decide alone", () => {
    const w = probing();
    const shed = { candidate: (n: number) => n % 4 !== 0, legacy: never };
    serve(w, 400, shed, "is skipped", "succeeded");
    expect(w.operation.latch.tripped).toBe(false);
    w.clock.advance(1000);
    expect(w.verdict("error-rate")).toMatchObject({ kind: "suspect", action: "hold", page: true });
    expect(w.verdict("error-rate").sentence).toMatch(/without a clear answer/);
  });

  it("loses nothing by other calls that are not among the sampled ones", () => {
    const blamedAfter = (skip: string | null): number => {
      const w = probing();
      // Asked between a picked call and its shadow: a pair is waiting then.
      const legacy = (): boolean => {
        if (skip !== null) w.guard.observeSkip("test.read", skip);
        return false;
      };
      return serve(w, 3000, { candidate: every(9), legacy });
    };
    expect(blamedAfter(null)).toBeLessThan(3000);
    expect(blamedAfter("sampled-out")).toBe(blamedAfter(null));
    expect(blamedAfter("queue-full")).toBeGreaterThan(blamedAfter(null));
  });

  it("is impossible for a write, which is judged by legacy's own calls or by SIZE alone", () => {
    const w = probing({}, "write");
    expect(serve(w, 100, { candidate: () => true, legacy: never })).toBeLessThan(10);
    expect(w.operation.probesWanted).toBe(0);
  });

  it("can be switched off, and then SIZE alone decides", () => {
    const w = probing({ engine: { probe: { pairsMax: 0 } } });
    expect(serve(w, 100, { candidate: () => true, legacy: never })).toBeLessThan(10);
  });
});

describe("a probe in the assembled library", () => {
  it("runs legacy beside candidate calls though the shadow flag is off, until it knows", async () => {
    const clock = new ManualClock();
    const flags = staticFlags({ "image.resize": 50 });
    const shadow = { share: 0 };
    const guard = { newException: { enabled: false } };
    const changeover = await createChangeover({ flags, clock, shadow, guard });
    let broken = false;
    let legacyRuns = 0;
    const broke = new Error("broke");
    const resize = changeover.migrate({
      name: "image.resize",
      kind: "read",
      legacy: () => {
        legacyRuns += 1;
        return "old";
      },
      candidate: (n: number) => (broken && n % 3 === 0 ? Promise.reject(broke) : "new"),
    });
    const trips: string[] = [];
    changeover.breaches.subscribe(({ verdict }) => trips.push(verdict.rule));
    let calls = 0;
    const call = async (): Promise<void> => {
      calls += 1;
      clock.advance(10);
      await resize(calls, { key: `user-${calls}` }).catch(() => undefined);
      await settle();
      await settle();
    };
    while (calls < 400) await call();
    await flags.control?.setPercentage("image.resize", 100, { by: "ana", reason: "test" });
    while (calls < 8000 && legacyHasCalls(changeover)) await call();
    const before = { calls, legacyRuns };
    broken = true;
    while (trips.length === 0 && calls < before.calls + 1000) await call();
    expect(trips).toEqual(["error-rate"]);
    // More often than as the fallback of every third call.
    expect(legacyRuns - before.legacyRuns).toBeGreaterThan((calls - before.calls) / 2);
    await changeover.close();
  }, 30_000);
});

/** Has legacy served calls in the last minute? */
function legacyHasCalls(changeover: Awaited<ReturnType<typeof createChangeover>>): boolean {
  const { series } = changeover.windows("image.resize");
  const legacy = series.find(({ path, source }) => path === "legacy" && source === "served");
  return (legacy?.short.succeeded ?? 0) > 0;
}
