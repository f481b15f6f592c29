import { describe, expect, expectTypeOf, it } from "vitest";
import { createChangeover, staticFlags } from "../../src/changeover.ts";
import { runInScope } from "../../src/migration/call.ts";
import { makeFacade, settle } from "../support/facade.ts";

const name = "image.resize";
const trip = { by: { type: "rule", name: "test" }, reason: "test", at: "2026-01-01T00:00:00Z" };

describe("an operation whose legacy was removed", () => {
  it("runs complete: on the candidate, whatever flags, keys, scopes, overrides and latches say", async () => {
    const { facade, seen } = makeFacade({ [name]: 0 });
    const resize = facade.migrate({ name, kind: "read", candidate: (n: number) => `new ${n}` });
    const answers = [
      await resize(1, { key: "a" }),
      await resize(2),
      await resize(3, { key: "a", override: "legacy" }),
      await runInScope("b", () => resize(4)),
    ];
    const operation = facade.operation(name);
    operation.latch.trip({ ...trip, by: { type: "rule", name: "test" } });
    operation.budgetSpent = true;
    operation.shedding = true;
    answers.push(await resize(5, { key: "a" }));
    expect(answers).toEqual(["new 1", "new 2", "new 3", "new 4", "new 5"]);
    expect(seen.every(({ decision }) => decision.reason === "complete")).toBe(true);
    expect(facade.explain(name, "a").decision).toEqual({
      path: "candidate",
      shadow: false,
      reason: "complete",
    });
  });

  it("keeps the types of its candidate", () => {
    const { facade } = makeFacade();
    const resize = facade.migrate({ name, kind: "read", candidate: (n: number) => `new ${n}` });
    expectTypeOf(resize).parameter(0).toEqualTypeOf<number>();
    expectTypeOf(resize).returns.toEqualTypeOf<Promise<string>>();
  });

  it("throws what the candidate threw: there is nobody to answer instead", async () => {
    const { facade, seen } = makeFacade();
    const broken = new Error("boom");
    const read = facade.migrate({ name, kind: "read", candidate: () => Promise.reject(broken) });
    await expect(read(1, { key: "a" })).rejects.toBe(broken);
    expect(seen[0]?.fallback).toBeNull();
  });

  it("is neither shadowed nor rolled back in the assembled library, and stays in the metrics", async () => {
    const changeover = await createChangeover({
      flags: staticFlags({ [name]: { percentage: 100, shadow: 100 } }),
    });
    let runs = 0;
    const read = changeover.migrate({
      name,
      kind: "read",
      candidate: () => {
        runs += 1;
        return Promise.reject(new Error("boom"));
      },
    });
    for (let n = 0; n < 200; n += 1) await read(n, { key: `k${n}` }).catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(runs).toBe(200);
    const by = { type: "person", name: "ana" } as const;
    const report = await changeover.rollBack(name, { by, reason: "try" });
    expect(report.result).toBe("incomplete");
    expect(changeover.explain(name, "k").decision.path).toBe("candidate");
    expect(await changeover.metrics.text()).toMatch(/reason="complete"\} 200/);
    await changeover.close();
  });
});

describe("a call that waits for room on the candidate", () => {
  it("goes to legacy when the latch trips meanwhile: it has not begun", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 }, { limits: { candidateBytes: 100 } });
    const first = Promise.withResolvers<string>();
    const write = facade.migrate({
      name,
      kind: "write",
      legacy: () => "old",
      candidate: () => first.promise,
      cost: () => ({ legacy: 1000, candidate: 100 }),
    });
    const running = write(1, { key: "a" });
    const waiting = write(2, { key: "b" });
    await settle();
    facade.operation(name).latch.trip({ ...trip, by: { type: "rule", name: "test" } });
    first.resolve("new");
    expect([await running, await waiting]).toEqual(["new", "old"]);
    expect(seen.map(({ decision }) => decision.reason)).toEqual(["flag-on", "latched"]);
    expect(facade.operation(name).load.candidate.bytes).toBe(0);
  });
});

describe("calls in flight", () => {
  it("are listed until their end, can be aborted together, and leave nothing behind", async () => {
    const { facade } = makeFacade({ [name]: 100 });
    const read = facade.migrate({
      name,
      kind: "write",
      legacy: () => "old",
      candidate: (_n: number, call) =>
        new Promise<string>((_resolve, reject) => {
          call.signal.addEventListener("abort", () => reject(call.signal.reason));
        }),
    });
    const { inFlight } = facade.operation(name);
    const calls = [1, 2, 3].map((n) => read(n, { key: `k${n}` }));
    const settled = Promise.allSettled(calls);
    await Promise.resolve();
    expect(inFlight.size).toBe(3);
    let drained = false;
    void inFlight.drained().then(() => {
      drained = true;
    });
    const reason = new Error("memory");
    expect(inFlight.abort(reason)).toBe(3);
    expect((await settled).map((each) => each.status === "rejected" && each.reason)).toEqual([
      reason,
      reason,
      reason,
    ]);
    expect(inFlight.size).toBe(0);
    await Promise.resolve();
    expect(drained).toBe(true);
  });

  it("go to legacy while memory is short, and back when it has recovered", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const read = facade.migrate({ name, kind: "read", legacy: () => 1, candidate: () => 2 });
    const operation = facade.operation(name);
    operation.shedding = true;
    expect(await read(1, { key: "a" })).toBe(1);
    operation.shedding = false;
    expect(await read(1, { key: "a" })).toBe(2);
    expect(seen.map(({ decision }) => decision.reason)).toEqual(["shed", "flag-on"]);
  });
});
