import { describe, expect, it } from "vitest";
import { MemoryJournal } from "../../src/migration/journal.ts";
import { Operation } from "../../src/migration/operation.ts";
import { anOperation, healthyFor, watching } from "./support.ts";

describe("the guard, on errors", () => {
  it("trips the latch in the same tick after a handful of total failures at 1 % share", () => {
    const w = watching({ newException: { enabled: false } });
    healthyFor(w, 120);
    let failures = 0;
    while (!w.operation.latch.tripped && failures < 50) {
      w.see({ path: "candidate", kind: "failed" });
      failures += 1;
    }
    expect(failures).toBeLessThanOrEqual(7);
    expect(w.operation.latch.record).toMatchObject({
      tripped: true,
      by: { type: "rule", name: "error-rate" },
    });
    expect(w.operation.latch.record?.reason).toMatch(
      /^Since \d\d:\d\d:\d\d UTC the candidate failed/,
    );
    expect(w.operation.latch.record?.evidence).toMatchObject({
      rule: "error-rate",
      limit: expect.any(Number),
    });
    expect(w.breaches).toHaveLength(1);
    expect(w.verdict("error-rate").kind).toBe("breached");
    expect(w.guard.overall("test.read")).toMatchObject({ kind: "breached", action: "rollback" });
  });

  it("announces one breach for each epoch, however long the failures go on", () => {
    const w = watching();
    healthyFor(w, 60);
    for (let n = 0; n < 200; n += 1) w.see({ path: "candidate", kind: "failed" });
    w.clock.advance(60_000);
    expect(w.breaches).toHaveLength(1);
    expect(w.operation.latch.epoch).toBe(1);
  });

  it("does not trip on errors when the error rule is switched off", () => {
    const w = watching({ errorRate: { enabled: false }, newException: { enabled: false } });
    healthyFor(w, 60);
    for (let n = 0; n < 100; n += 1) w.see({ path: "candidate", kind: "failed" });
    w.clock.advance(5000);
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.guard.verdicts("test.read").map((each) => each.rule)).not.toContain("error-rate");
  });

  it("starts afresh after a person re-armed the latch, and can trip again", () => {
    const w = watching();
    healthyFor(w, 60);
    for (let n = 0; n < 20; n += 1) w.see({ path: "candidate", kind: "failed" });
    expect(w.operation.latch.tripped).toBe(true);
    w.operation.latch.rearm({
      by: { type: "person", name: "ada" },
      reason: "fixed",
      at: "2026-01-01T00:00:00Z",
    });
    w.see({ path: "candidate", kind: "failed" });
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("error-rate").kind).not.toBe("breached");
    for (let n = 0; n < 20; n += 1) w.see({ path: "candidate", kind: "failed" });
    expect(w.operation.latch.epoch).toBe(2);
    expect(w.breaches.map((each) => each.epoch)).toEqual([1, 2]);
  });

  it("never counts aborts and refusals as failures", () => {
    const w = watching();
    healthyFor(w, 60);
    for (let n = 0; n < 300; n += 1) {
      w.see({ path: "candidate", kind: "aborted" });
      w.see({ path: "candidate", kind: "refused" });
    }
    w.clock.advance(61_000);
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("holds and pages instead of rolling back when legacy fails the same calls", () => {
    const w = watching();
    healthyFor(w, 60);
    for (let n = 0; n < 30; n += 1) {
      w.see({ path: "candidate", kind: "failed", fallback: "failed" });
      for (let l = 0; l < 9; l += 1) w.see({ path: "legacy", kind: "failed" });
      w.clock.advance(1000);
    }
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("error-rate")).toMatchObject({ kind: "suspect", action: "hold", page: true });
    expect(w.changes.some(({ after }) => after.page && after.rule === "error-rate")).toBe(true);
    expect(w.guard.overall("test.read").kind).toBe("suspect");
  });

  it.each([
    ["busy", 1],
    ["quiet", 10],
  ])(
    "never trips on one poisoned key on a %s operation, whatever it does",
    (_what, everySeconds) => {
      const w = watching();
      const stray = Object.assign(new Error("reset"), { code: "ECONNRESET" });
      w.see({ path: "legacy", kind: "failed", error: stray });
      for (let second = 0; second < 1500; second += 1) {
        for (let n = 0; n < 9; n += 1) w.see({ path: "legacy" });
        if (second % everySeconds === 0) w.see({ path: "candidate" });
        // A stray failure of somebody else now and then must not make up for the missing keys.
        if (second % 300 === 299) w.see({ path: "candidate", kind: "failed", error: stray });
        for (let n = 0; n < 3; n += 1) {
          w.see({ path: "candidate", kind: "failed", key: "poison", fallback: "succeeded" });
        }
        w.clock.advance(1000);
      }
      expect(w.breaches).toEqual([]);
    },
  );

  it("never moves another operation when one trips", () => {
    const w = watching();
    const other = anOperation({ name: "test.other" });
    w.guard.watch(other);
    healthyFor(w, 60);
    for (let n = 0; n < 100; n += 1) w.see({ path: "candidate", operation: other });
    for (let n = 0; n < 20; n += 1) w.see({ path: "candidate", kind: "failed" });
    w.clock.advance(10_000);
    expect(w.operation.latch.tripped).toBe(true);
    expect(other.latch.tripped).toBe(false);
    expect(w.guard.overall("test.other").kind).not.toBe("breached");
  });

  it("cannot be opened by time, by success or by a new guard", () => {
    const w = watching({ newException: { enabled: false } });
    healthyFor(w, 60);
    for (let n = 0; n < 20; n += 1) w.see({ path: "candidate", kind: "failed" });
    healthyFor(w, 60, 10, 10);
    w.clock.advance(3_600_000);
    expect(w.operation.latch.tripped).toBe(true);
    expect(w.verdict("error-rate").kind).toBe("breached");
    const record = w.operation.latch.record;
    const restarted = anOperation();
    if (record !== null) restarted.latch.restore(record);
    const again = watching({}, { operation: restarted });
    healthyFor(again, 60);
    expect(restarted.latch.tripped).toBe(true);
  });

  it("cannot trip on fewer than four failures", () => {
    for (const share of [1, 10, 100]) {
      const w = watching({ newException: { enabled: false } });
      healthyFor(w, 300, 100 - share, share);
      for (let n = 0; n < 3; n += 1) w.see({ path: "candidate", kind: "failed" });
      w.clock.advance(3000);
      expect(w.operation.latch.tripped).toBe(false);
    }
  });

  it("does not call healthy what it cannot tell", () => {
    const w = watching();
    expect(w.guard.overall("test.read").kind).toBe("inconclusive");
    healthyFor(w, 10);
    expect(w.verdict("error-rate").kind).toBe("inconclusive");
    healthyFor(w, 200);
    expect(w.verdict("error-rate").kind).toBe("healthy");
    for (let second = 0; second < 90; second += 1) {
      w.see({ path: "legacy" });
      w.clock.advance(1000);
    }
    expect(w.verdict("error-rate").kind).toBe("blind");
    const off = Object.fromEntries(
      [
        "errorRate",
        "timeoutRate",
        "latency",
        "newException",
        "mismatch",
        "shadowErrorRate",
        "memory",
        "exposureBudget",
        "fatal",
      ].map((rule) => [rule, { enabled: false }]),
    );
    expect(watching(off).guard.overall("test.read").kind).toBe("inconclusive");
  });

  it("is healthy only after a time without a hold", () => {
    const w = watching({ newException: { enabled: false } });
    healthyFor(w, 200, 50, 50);
    expect(w.verdict("error-rate").kind).toBe("healthy");
    for (let n = 0; n < 200 && w.verdict("error-rate").kind !== "suspect"; n += 1) {
      w.see({ path: "candidate", kind: "failed" });
      healthyFor(w, 1, 50, 50);
    }
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("error-rate")).toMatchObject({ kind: "suspect", action: "hold" });
    healthyFor(w, 330, 50, 50);
    expect(w.verdict("error-rate").sentence).toMatch(/without a hold are needed/);
    healthyFor(w, 61, 50, 50);
    expect(w.verdict("error-rate").kind).toBe("healthy");
  });

  it("says with every verdict by which rule, how much, how many and since when", () => {
    const w = watching();
    healthyFor(w, 700);
    for (const verdict of w.guard.verdicts("test.read")) {
      if (!verdict.applies) continue;
      const { rule, limit, observed, samples, sinceMs, sentence } = verdict;
      expect([typeof rule, typeof limit, typeof observed]).toEqual(["string", "number", "number"]);
      expect(samples).toBeGreaterThan(0);
      expect(sinceMs).toBeLessThanOrEqual(w.clock.now());
      expect(sentence).toMatch(/\.$/);
    }
  });

  it("pages, and trips nothing, where legacy was removed", () => {
    const operation = new Operation(
      { name: "test.read", kind: "read", candidate: () => "new" },
      () => undefined,
    );
    const w = watching({}, { operation });
    healthyFor(w, 60, 0, 50);
    for (let n = 0; n < 100; n += 1) w.see({ path: "candidate", kind: "failed" });
    w.clock.advance(1000);
    expect(operation.latch.tripped).toBe(false);
    expect(w.verdict("error-rate")).toMatchObject({
      kind: "breached",
      action: "alert",
      page: true,
    });
    expect(w.guard.overall("test.read").kind).toBe("suspect");
  });

  it("becomes healthy as a whole only with evidence for every rule that applies", () => {
    const w = watching();
    healthyFor(w, 700);
    const kinds = w.guard
      .verdicts("test.read")
      .filter((each) => each.applies)
      .map((each) => [each.rule, each.kind]);
    expect(kinds).toEqual(kinds.map(([rule]) => [rule, "healthy"]));
    expect(w.guard.overall("test.read").kind).toBe("healthy");
    w.guard.beginPeriod("test.read");
    expect(w.guard.overall("test.read").kind).toBe("inconclusive");
  });
});

describe("the guard from half of the traffic up", () => {
  it("trips at 100 % share when legacy answers the calls that the candidate failed", () => {
    const w = watching();
    healthyFor(w, 300);
    healthyFor(w, 120, 0, 100);
    let failures = 0;
    while (!w.operation.latch.tripped && failures < 50) {
      w.see({ path: "candidate", kind: "failed", fallback: "succeeded" });
      failures += 1;
    }
    expect(failures).toBeLessThanOrEqual(8);
  });

  it("trips at 100 % share against the earlier baseline when legacy cannot be asked", () => {
    const w = watching(
      { newException: { enabled: false } },
      { operation: anOperation({ kind: "write" }) },
    );
    healthyFor(w, 300);
    healthyFor(w, 400, 0, 100);
    let failures = 0;
    while (!w.operation.latch.tripped && failures < 50) {
      w.see({ path: "candidate", kind: "failed" });
      failures += 1;
    }
    expect(failures).toBeLessThanOrEqual(8);
    expect(w.operation.latch.record?.evidence).toMatchObject({ baselineFrom: "earlier" });
  });

  it("does not trip at 90 % share when legacy fails as often at the same time", () => {
    const w = watching({ newException: { enabled: false } });
    healthyFor(w, 120, 10, 90);
    for (let second = 0; second < 120; second += 1) {
      for (let n = 0; n < 90; n += 1)
        w.see({ path: "candidate", kind: n % 5 < 3 ? "failed" : "succeeded" });
      for (let n = 0; n < 10; n += 1)
        w.see({ path: "legacy", kind: n % 5 < 3 ? "failed" : "succeeded" });
      w.clock.advance(1000);
    }
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("error-rate")).toMatchObject({ kind: "suspect", action: "hold" });
  });

  it("trips at 90 % share without fallback once concurrent legacy calls went well", () => {
    const w = watching({ newException: { enabled: false } });
    healthyFor(w, 120, 10, 90);
    for (let second = 0; second < 5; second += 1) {
      for (let n = 0; n < 90; n += 1) w.see({ path: "candidate", kind: "failed" });
      for (let n = 0; n < 10; n += 1) w.see({ path: "legacy" });
      w.clock.advance(1000);
    }
    expect(w.operation.latch.tripped).toBe(true);
  });
});

describe("the guard's other parts", () => {
  it("survives a listener that throws, and reports it", () => {
    const w = watching();
    w.guard.breached.subscribe(() => {
      throw new Error("listener");
    });
    healthyFor(w, 60);
    for (let n = 0; n < 20; n += 1) w.see({ path: "candidate", kind: "failed" });
    expect(w.operation.latch.tripped).toBe(true);
    expect(w.errors).toHaveLength(1);
  });

  it("refuses questions about an operation that it does not watch", () => {
    expect(() => watching().guard.verdicts("test.none")).toThrow(
      expect.objectContaining({ code: "GUARD_UNKNOWN_OPERATION" }),
    );
  });

  it("counts each path and source apart, over 60 s and 5 minutes", () => {
    const w = watching();
    w.see({ path: "candidate", kind: "failed", fallback: "succeeded" });
    w.see({ path: "candidate", source: "shadow" });
    w.clock.advance(90_000);
    w.see({ path: "legacy" });
    const { series } = w.guard.windows("test.read");
    const of = (path: string, source: string) =>
      series.find((s) => s.path === path && s.source === source);
    expect(of("candidate", "served")).toMatchObject({ short: { failed: 0 }, long: { failed: 1 } });
    expect(of("candidate", "shadow")).toMatchObject({
      short: { succeeded: 0 },
      long: { succeeded: 1 },
    });
    expect(of("legacy", "served")).toMatchObject({
      short: { succeeded: 1 },
      long: { succeeded: 1 },
    });
    expect(of("legacy", "fallback")).toMatchObject({ long: { succeeded: 1 } });
  });

  it("leaves no timer behind when it is closed", () => {
    const w = watching({}, { journal: new MemoryJournal() });
    w.guard.close();
    expect(w.clock.pending).toBe(0);
  });
});
