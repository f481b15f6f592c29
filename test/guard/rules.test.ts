import { describe, expect, it } from "vitest";
import { anOperation, healthyFor, only, type Watching, watching, withRule } from "./support.ts";

describe("the timeout rule", () => {
  const late = (w: Watching, count: number, fallback?: "succeeded"): void => {
    for (let n = 0; n < count; n += 1) {
      w.see({ path: "candidate", kind: "timed-out", ...(fallback ? { fallback } : {}) });
    }
  };

  it("trips on timeouts alone", () => {
    const w = watching(only("timeoutRate"), { operation: anOperation({ deadlineMs: 1000 }) });
    healthyFor(w, 120);
    late(w, 6);
    expect(w.operation.latch.record?.by.name).toBe("timeout-rate");
  });

  it("trips at a share of timeouts that the error rule still allows", () => {
    const w = watching(only("timeoutRate", "errorRate"), {
      operation: anOperation({ deadlineMs: 1000 }),
    });
    healthyFor(w, 300, 90, 10);
    for (let n = 0; n < 5000 && !w.operation.latch.tripped; n += 1) {
      w.see({ path: "legacy" });
      w.see({ path: "candidate", kind: n % 25 === 0 ? "timed-out" : "succeeded" });
      if (n % 10 === 0) w.clock.advance(1000);
    }
    expect(w.operation.latch.record?.by.name).toBe("timeout-rate");
  });

  it("does not blame the candidate when legacy takes as long", () => {
    const w = watching(only("timeoutRate"), { operation: anOperation({ deadlineMs: 1000 }) });
    healthyFor(w, 120);
    for (let second = 0; second < 60; second += 1) {
      for (let n = 0; n < 99; n += 1) w.see({ path: "legacy", ms: 4000 });
      late(w, 1);
      w.clock.advance(1000);
    }
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("does nothing when it is switched off", () => {
    const w = watching(only(), { operation: anOperation({ deadlineMs: 1000 }) });
    healthyFor(w, 120);
    late(w, 100);
    expect(w.operation.latch.tripped).toBe(false);
  });
});

describe("the new-exception rule", () => {
  const boom = (code: string): Error => Object.assign(new Error("boom 17"), { code });
  const fail = (
    w: Watching,
    error: unknown,
    key: string,
    source: "served" | "shadow" = "served",
  ): void =>
    w.see({
      path: "candidate",
      kind: "failed",
      key,
      error,
      source,
      ...(source === "served" ? { fallback: "succeeded" as const } : {}),
    });

  it("holds at the first exception that legacy never threw, and trips at the third from two keys", () => {
    const w = watching(only("newException"));
    healthyFor(w, 10);
    fail(w, boom("ENEW"), "a");
    expect(w.verdict("new-exception")).toMatchObject({ kind: "suspect", action: "hold" });
    fail(w, boom("ENEW"), "a");
    expect(w.operation.latch.tripped).toBe(false);
    fail(w, boom("ENEW"), "b");
    expect(w.operation.latch.record?.by.name).toBe("new-exception");
    expect(w.operation.latch.record?.reason).toContain("ENEW");
  });

  it("does not trip on one key alone, nor on what is spread over more than ten minutes", () => {
    const w = watching(only("newException"));
    healthyFor(w, 10);
    for (let n = 0; n < 20; n += 1) fail(w, boom("EONE"), "a");
    for (let n = 0; n < 6; n += 1) {
      fail(w, boom("ESLOW"), `k${n}`);
      w.clock.advance(301_000);
    }
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("knows what legacy threw, what the candidate threw in the shadow, and what is allowed", () => {
    const w = watching(withRule("newException", { allowed: ["EALLOWED"] }));
    healthyFor(w, 10);
    w.see({ path: "legacy", kind: "failed", error: boom("ELEGACY") });
    const rehearsed = boom("EREHEARSED");
    fail(w, rehearsed, "s", "shadow");
    for (let n = 0; n < 10; n += 1) {
      fail(w, boom("ELEGACY"), `k${n}`);
      fail(w, boom("EALLOWED"), `k${n}`);
      fail(w, rehearsed, `k${n}`);
    }
    expect(w.verdict("new-exception").kind).toBe("inconclusive");
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("cannot trip before legacy was seen often enough to say never", () => {
    const w = watching(only("newException"));
    healthyFor(w, 1, 50, 1);
    for (let n = 0; n < 10; n += 1) fail(w, boom("ENEW"), `k${n}`);
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("new-exception").kind).toBe("suspect");
  });

  it("does nothing when it is switched off", () => {
    const w = watching(only());
    healthyFor(w, 10);
    for (let n = 0; n < 10; n += 1) fail(w, boom("ENEW"), `k${n}`);
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("keeps no message in its evidence: it may hold contents", () => {
    const w = watching(only("newException"));
    healthyFor(w, 10);
    for (let n = 0; n < 4; n += 1) fail(w, new Error("no such user ada@example.org"), `k${n}`);
    expect(w.operation.latch.tripped).toBe(true);
    expect(JSON.stringify(w.operation.latch.record)).not.toContain("ada");
  });
});

describe("the latency rule", () => {
  const run = (
    w: Watching,
    candidateMs: (n: number) => number,
    legacyMs: (n: number) => number,
  ): void => {
    for (let n = 0; n < 400 && !w.operation.latch.tripped; n += 1) {
      for (let l = 0; l < 9; l += 1) w.see({ path: "legacy", ms: legacyMs(n * 9 + l) });
      w.see({ path: "candidate", ms: candidateMs(n) });
      w.clock.advance(1000);
    }
  };
  const usual = (n: number): number => 10 + (n % 20);

  it("trips when the candidate is slower than legacy's slowest calls of the minutes before", () => {
    const w = watching(only("latency"));
    run(w, usual, usual);
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("latency").kind).toBe("healthy");
    run(w, (n) => usual(n) * 3, usual);
    expect(w.operation.latch.record?.by.name).toBe("latency");
  });

  it("says whether it knows how fast legacy is, and never forgets that it did", () => {
    const w = watching(only("latency"));
    const known = (): boolean | undefined => w.verdict("latency").legacyKnown;
    expect(known()).toBe(false);
    for (let n = 0; n < 150; n += 1) w.see({ path: "legacy", ms: usual(n) });
    w.clock.advance(299_000);
    expect(known()).toBe(false);
    run(w, usual, usual);
    expect(known()).toBe(true);
    w.guard.beginPeriod("test.read");
    w.clock.advance(3_600_000);
    expect(known()).toBe(true);
  });

  it("counts a call that its caller gave up after too long without an answer", () => {
    const w = watching(only("latency"));
    run(w, usual, usual);
    for (let n = 0; n < 20; n += 1) w.see({ path: "candidate", kind: "aborted", ms: 5000 });
    expect(w.operation.latch.tripped).toBe(true);
    const patient = watching(only("latency"));
    run(patient, usual, usual);
    for (let n = 0; n < 20; n += 1) patient.see({ path: "candidate", kind: "aborted", ms: 5 });
    for (let n = 0; n < 20; n += 1)
      patient.see({ path: "candidate", kind: "aborted", ms: 5000, firstByteMs: 9 });
    expect(patient.operation.latch.tripped).toBe(false);
  });

  it("takes an early abort for no evidence at all: it cannot hide slow calls", () => {
    const w = watching(only("latency"));
    run(w, usual, usual);
    for (let n = 0; n < 20; n += 1) {
      for (let a = 0; a < 50; a += 1) w.see({ path: "candidate", kind: "aborted", ms: 1 });
      w.see({ path: "candidate", ms: 5000 });
    }
    expect(w.operation.latch.tripped).toBe(true);
  });

  it("does not trip when both paths become slower", () => {
    const w = watching(only("latency"));
    run(w, usual, usual);
    run(
      w,
      (n) => usual(n) * 3,
      (n) => usual(n) * 3,
    );
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("does nothing when it is switched off", () => {
    const w = watching(only());
    run(w, usual, usual);
    run(w, (n) => usual(n) * 30, usual);
    expect(w.operation.latch.tripped).toBe(false);
  });
});

describe("the mismatch rule", () => {
  const compare = (w: Watching, count: number, result: "same" | "different"): void => {
    for (let n = 0; n < count; n += 1) {
      w.guard.observeComparison({ operation: "test.read", result, key: `k${n}` });
    }
    w.clock.advance(1000);
  };

  it("holds the rollout on mismatches, and never rolls back unless it is told to", () => {
    const w = watching(only("mismatch"));
    compare(w, 500, "same");
    w.clock.advance(59_000);
    expect(w.verdict("mismatch").kind).toBe("healthy");
    compare(w, 20, "different");
    expect(w.verdict("mismatch")).toMatchObject({ kind: "breached", action: "hold" });
    expect(w.verdict("mismatch").sentence).toContain("more than 1 point above the expected rate");
    expect(w.guard.overall("test.read")).toMatchObject({ kind: "suspect", action: "hold" });
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.guard.mayShadow("test.read")).toBe(true);
  });

  it("stops the shadow, or rolls back, by policy", () => {
    const stop = watching(withRule("mismatch", { action: "stop-shadow" }));
    compare(stop, 20, "different");
    expect(stop.guard.mayShadow("test.read")).toBe(false);
    const back = watching(withRule("mismatch", { action: "rollback" }));
    compare(back, 20, "different");
    expect(back.operation.latch.record?.by.name).toBe("mismatch");
  });

  it("says nothing, and stands in nobody's way, while nothing is compared", () => {
    expect(watching().verdict("mismatch").applies).toBe(false);
  });

  it("does nothing when it is switched off", () => {
    const w = watching(only());
    compare(w, 100, "different");
    expect(w.guard.overall("test.read").rule).toBe("overall");
  });
});

describe("shadow failures", () => {
  const fail = (w: Watching): void => {
    healthyFor(w, 60);
    for (let n = 0; n < 100; n += 1) w.see({ path: "candidate", kind: "failed", source: "shadow" });
    w.clock.advance(2000);
  };

  it("hold the rollout, and never roll back", () => {
    const w = watching();
    fail(w);
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("shadow-error-rate")).toMatchObject({ kind: "breached", action: "hold" });
    expect(w.verdict("error-rate").samples).toBe(60);
  });

  it("may stop the shadow, and do nothing when the rule is switched off", () => {
    const stop = watching(withRule("shadowErrorRate", { action: "stop-shadow" }));
    fail(stop);
    expect(stop.guard.mayShadow("test.read")).toBe(false);
    const off = watching({ shadowErrorRate: { enabled: false } });
    fail(off);
    expect(off.guard.overall("test.read").kind).not.toBe("suspect");
  });
});

describe("a rule that has tripped the latch", () => {
  it("does not trip it again for the same failures in the second of the re-arming", () => {
    const w = watching(only("fatal"));
    const error = Object.assign(new Error("x"), { dataLoss: true });
    w.see({ path: "candidate", kind: "failed", error });
    expect(w.operation.latch.tripped).toBe(true);
    const at = new Date(w.clock.now()).toISOString();
    w.operation.latch.rearm({ by: { type: "person", name: "ada" }, reason: "mended", at });
    w.guard.tick();
    expect(w.operation.latch.tripped).toBe(false);
  });
});

describe("a shadow that the flags have ended", () => {
  it("does not make the guard blind, and one that falls silent by itself does", () => {
    const state = { shadowed: true };
    const policy = { latency: { enabled: false } };
    const w = watching(policy, { shadowed: () => state.shadowed });
    for (let n = 0; n < 100; n += 1) {
      w.see({ path: "candidate", source: "shadow" });
      w.guard.observeComparison({ operation: "test.read", result: "same", key: `k${n}` });
    }
    w.guard.beginPeriod("test.read");
    healthyFor(w, 120, 50, 50);
    for (const rule of ["mismatch", "shadow-error-rate"] as const) {
      expect(w.verdict(rule)).toMatchObject({ kind: "blind", applies: true });
    }
    state.shadowed = false;
    for (const rule of ["mismatch", "shadow-error-rate"] as const) {
      expect(w.verdict(rule)).toMatchObject({ kind: "inconclusive", applies: false });
    }
    expect(w.guard.overall("test.read").kind).toBe("healthy");
  });
});

describe("the fatal rule", () => {
  it("trips at the first error that is marked", () => {
    for (const error of [
      Object.assign(new Error("x"), { code: "ERR_WORKER_OUT_OF_MEMORY" }),
      Object.assign(new Error("x"), { dataLoss: true }),
    ]) {
      const w = watching(only("fatal"));
      w.see({ path: "candidate", kind: "failed", error });
      expect(w.operation.latch.record?.by.name).toBe("fatal");
    }
  });

  it("holds when legacy failed the call too, stops the shadow when it came there, and can be off", () => {
    const error = Object.assign(new Error("x"), { dataLoss: true });
    const shared = watching(only("fatal"));
    shared.see({ path: "candidate", kind: "failed", error, fallback: "failed" });
    expect(shared.verdict("fatal")).toMatchObject({ kind: "suspect", action: "hold" });
    const shadow = watching(only("fatal"));
    shadow.see({ path: "candidate", kind: "failed", error, source: "shadow" });
    shadow.clock.advance(1000);
    expect(shadow.operation.latch.tripped).toBe(false);
    expect(shadow.guard.mayShadow("test.read")).toBe(false);
    const off = watching(only());
    off.see({ path: "candidate", kind: "failed", error });
    expect(off.operation.latch.tripped).toBe(false);
  });
});
