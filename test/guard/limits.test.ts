import { describe, expect, it } from "vitest";
import { parsePolicy } from "../../src/guard/policy.ts";
import { ActiveCall } from "../../src/migration/call.ts";
import { MemoryJournal } from "../../src/migration/journal.ts";
import { anOperation, calm, only, type Watching, watching, withRule } from "./support.ts";

describe("the exposure budget", () => {
  const harm = (w: Watching, count: number): void => {
    for (let n = 0; n < count; n += 1) w.see({ path: "candidate", kind: "failed" });
    w.clock.advance(1000);
  };
  const policy = withRule("exposureBudget", { harmedCallsPerDay: 20 });

  it("is spent by harmed calls, is journalled, and comes back only by a person", async () => {
    const journal = new MemoryJournal();
    const w = watching(policy, { journal });
    harm(w, 40);
    expect(w.operation.budgetSpent).toBe(true);
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("exposure-budget")).toMatchObject({ kind: "breached", action: "hold" });
    w.clock.advance(30 * 3_600_000);
    expect(w.operation.budgetSpent).toBe(true);
    expect(await journal.read()).toEqual([
      expect.objectContaining({
        to: "budget-spent",
        actor: { type: "rule", name: "exposure-budget" },
      }),
    ]);
    await w.guard.grantBudget("test.read", "ada", "looked at it");
    expect(w.operation.budgetSpent).toBe(false);
    expect(w.verdict("exposure-budget").kind).not.toBe("breached");
  });

  it("stays spent over a restart", async () => {
    const journal = new MemoryJournal();
    harm(watching(policy, { journal }), 40);
    const again = watching(policy, { journal });
    await Promise.resolve();
    await Promise.resolve();
    expect(again.operation.budgetSpent).toBe(true);
  });

  it("is not spent by calls that legacy answered or failed too, nor by what legacy fails anyway", () => {
    const w = watching(policy);
    for (let n = 0; n < 200; n += 1) {
      w.see({ path: "candidate", kind: "failed", fallback: "succeeded" });
      w.see({ path: "candidate", kind: "failed", fallback: "failed" });
    }
    for (let n = 0; n < 20_000; n += 1) {
      w.see({ path: n % 2 ? "candidate" : "legacy", kind: n % 200 < 2 ? "failed" : "succeeded" });
    }
    w.clock.advance(1000);
    expect(w.operation.budgetSpent).toBe(false);
  });

  it("does nothing when it is switched off", () => {
    const w = watching(only());
    harm(w, 1000);
    expect(w.operation.budgetSpent).toBe(false);
  });
});

describe("the memory rule", () => {
  const at = (ratio: number) => ({ ...calm, ratio, usedBytes: ratio * calm.limitBytes });
  const cost = (legacy: number, candidate: number) =>
    anOperation({ cost: () => ({ legacy, candidate }) });

  it("sheds shadows, then holds, and lets go only after a long calm", () => {
    const w = watching(only("memory"));
    w.memory = at(0.82);
    w.clock.advance(6000);
    expect(w.guard.backPressure).toEqual({ shedShadows: true, hold: false });
    expect(w.guard.mayShadow("test.read")).toBe(false);
    w.memory = at(0.87);
    w.clock.advance(6000);
    expect(w.guard.backPressure).toEqual({ shedShadows: true, hold: true });
    w.memory = at(0.75);
    w.clock.advance(120_000);
    expect(w.guard.backPressure.hold).toBe(true);
    w.memory = at(0.5);
    w.clock.advance(59_000);
    expect(w.guard.backPressure.hold).toBe(true);
    w.clock.advance(2000);
    expect(w.guard.backPressure).toEqual({ shedShadows: false, hold: false });
  });

  it("does not roll back onto a heavier legacy, however full the memory", () => {
    const w = watching(only("memory"), { operation: cost(40, 1) });
    w.see({ path: "candidate" });
    w.memory = at(0.99);
    w.clock.advance(60_000);
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.verdict("memory")).toMatchObject({ kind: "suspect", action: "hold", page: true });
  });

  it("rolls back where legacy is cheaper for each call", () => {
    const w = watching(only("memory"), { operation: cost(1, 40) });
    w.see({ path: "candidate" });
    w.memory = at(0.95);
    w.clock.advance(3000);
    expect(w.operation.latch.record?.by.name).toBe("memory");
  });

  it("rolls back where the candidate holds the growth, also onto a heavier legacy", () => {
    const w = watching(only("memory"), { operation: cost(40, 1) });
    w.clock.advance(1000);
    w.operation.load.candidate.bytes = 0.7 * calm.limitBytes;
    w.memory = at(0.95);
    w.clock.advance(3000);
    expect(w.operation.latch.record?.by.name).toBe("memory");
  });

  it("sends new calls to legacy while memory is short, once; the second time within an hour latches", () => {
    const w = watching(only("memory"), { operation: cost(1, 40) });
    const squeeze = (): void => {
      w.see({ path: "candidate" });
      w.memory = at(0.87);
      w.clock.advance(6000);
    };
    const recover = (): void => {
      w.memory = at(0.5);
      w.clock.advance(70_000);
    };
    squeeze();
    expect([w.operation.shedding, w.operation.latch.tripped]).toEqual([true, false]);
    recover();
    expect(w.operation.shedding).toBe(false);
    w.clock.advance(3_600_000);
    squeeze();
    expect([w.operation.shedding, w.operation.latch.tripped]).toEqual([true, false]);
    recover();
    squeeze();
    w.clock.advance(1000);
    expect(w.operation.latch.record?.by.name).toBe("memory");
    expect(w.operation.latch.record?.reason).toContain("second time");
  });

  it("does not send calls to a legacy that is heavier, nor latches for it", () => {
    const w = watching(only("memory"), { operation: cost(40, 1) });
    for (let n = 0; n < 3; n += 1) {
      w.see({ path: "candidate" });
      w.memory = at(0.87);
      w.clock.advance(6000);
      expect(w.operation.shedding).toBe(false);
      w.memory = at(0.5);
      w.clock.advance(70_000);
    }
    expect(w.operation.latch.tripped).toBe(false);
  });

  it("climbs sooner while the kernel or the event loop is strained, and not for that alone", () => {
    const w = watching(only("memory"));
    w.memory = { ...at(0.5), strained: true };
    w.clock.advance(60_000);
    expect(w.guard.backPressure.shedShadows).toBe(false);
    w.memory = { ...at(0.82), strained: true };
    w.clock.advance(2500);
    expect(w.guard.backPressure.shedShadows).toBe(true);
  });

  it("latches and sheds shadows when the heap stays full after major collections", () => {
    const full = { floorBytes: 900, heapRatio: 0.9 };
    const w = watching(only("memory"));
    w.see({ path: "candidate" });
    const idle = anOperation({ name: "test.idle" });
    const heavy = anOperation({ name: "test.heavy", cost: () => ({ legacy: 40, candidate: 1 }) });
    w.guard.watch(idle);
    w.guard.watch(heavy);
    w.see({ path: "candidate", operation: heavy });
    w.collected(full);
    w.collected(full);
    expect(w.operation.latch.tripped).toBe(false);
    w.collected(full);
    expect(w.operation.latch.record?.by.name).toBe("memory");
    expect(w.guard.backPressure).toEqual({ shedShadows: true, hold: true });
    // Neither one that has no calls, nor one whose legacy would fill the heap sooner.
    expect([idle.latch.tripped, heavy.latch.tripped]).toEqual([false, false]);
    expect(w.guard.verdicts("test.heavy")[0]).toMatchObject({ kind: "suspect", action: "hold" });
  });

  it("holds on a leak, or rolls back where the policy says so", () => {
    const leak = (policy: object): Watching => {
      const w = watching(withRule("memory", policy));
      for (let minute = 0; minute < 30; minute += 1) {
        w.see({ path: "candidate" });
        w.collected({ floorBytes: (100 + 5 * minute) * 1_000_000, heapRatio: 0.3 });
        w.clock.advance(60_000);
      }
      return w;
    };
    const held = leak({});
    expect(held.verdict("memory")).toMatchObject({ kind: "suspect", action: "hold", page: true });
    expect(held.operation.latch.tripped).toBe(false);
    const back = leak({ leak: { action: "rollback" } });
    expect(back.operation.latch.record?.by.name).toBe("memory");
  });

  it("aborts running candidate calls a while after it rolled back, and only then", () => {
    const w = watching(only("memory"), { operation: cost(1, 40) });
    const call = new ActiveCall("test.read", "candidate", "served", "k", {});
    w.operation.inFlight.add(call);
    w.see({ path: "candidate" });
    w.memory = at(0.95);
    w.clock.advance(1500);
    expect(w.operation.latch.tripped).toBe(true);
    expect(call.signal.aborted).toBe(false);
    w.clock.advance(5000);
    expect(call.signal.reason).toMatchObject({ code: "GUARD_ABORTED_FOR_MEMORY" });
  });

  it("holds when candidate calls hold too much, and does nothing when it is switched off", () => {
    const w = watching(withRule("memory", { inFlightBytesMax: 1000 }), { operation: cost(40, 1) });
    w.operation.load.candidate.bytes = 1001;
    w.clock.advance(1000);
    expect(w.verdict("memory")).toMatchObject({ kind: "suspect", action: "hold", limit: 1000 });
    const off = watching(only(), { operation: cost(1, 40) });
    off.see({ path: "candidate" });
    off.memory = at(0.99);
    off.clock.advance(60_000);
    expect(off.operation.latch.tripped).toBe(false);
    expect(off.guard.backPressure).toEqual({ shedShadows: false, hold: false });
  });
});

describe("the policy", () => {
  it("names every wrong field and every unknown one", () => {
    const wrong = { errorRate: { increase: 5 }, latancy: {}, memory: { hold: { ratio: 0.1 } } };
    expect(() => parsePolicy(wrong)).toThrow(
      expect.objectContaining({
        code: "GUARD_INVALID_POLICY",
        message: expect.stringMatching(/errorRate\.increase.*latancy: there is no such field/s),
      }),
    );
    expect(() => parsePolicy({ memory: { hold: { ratio: 0.1 } } })).toThrow(/ratios must rise/);
    expect(() => parsePolicy({ shadowErrorRate: { action: "rollback" } })).toThrow(
      /shadowErrorRate/,
    );
  });
});
