import { describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import type { Answered } from "../../src/migration/call.ts";
import { runInScope } from "../../src/migration/call.ts";
import type { FlagSource } from "../../src/migration/flags.ts";
import { blameOf } from "../../src/migration/observation.ts";
import { makeFacade, settle } from "../support/facade.ts";

const name = "image.resize";

describe("a migrated function", () => {
  it("leaves its caller in the stack of an error that the path throws later", async () => {
    const { facade } = makeFacade({ [name]: 0 });
    const call = facade.migrate({
      name,
      kind: "read",
      legacy: async () => {
        await Promise.resolve();
        throw new Error("later");
      },
      candidate: () => "new",
    });
    const theCaller = async (): Promise<unknown> => await call(1, { key: "a" });
    const error: Error = await theCaller().then(
      () => new Error("answered"),
      (thrown) => thrown,
    );
    expect(error.message).toBe("later");
    expect(error.stack).toContain("theCaller");
  });

  it("rejects, and does not throw, for options that are none", async () => {
    const { facade } = makeFacade({ [name]: 0 });
    const call = facade.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: () => "new",
    });
    const answer = call(1, null as unknown as object);
    await expect(answer).rejects.toThrow(TypeError);
  });

  it("answers from legacy while the flag is at 0 and from the candidate at 100", async () => {
    const paths = { name, kind: "read" as const, legacy: () => "old", candidate: () => "new" };
    expect(await makeFacade({ [name]: 0 }).facade.migrate(paths)(1, { key: "a" })).toBe("old");
    expect(await makeFacade({ [name]: 100 }).facade.migrate(paths)(1, { key: "a" })).toBe("new");
  });

  it("hands input, key and request id to the path", async () => {
    const { facade } = makeFacade({ [name]: 0 });
    const call = facade.migrate({
      name,
      kind: "read",
      legacy: (input: number, call) => [input, call.key, call.requestId, call.path, call.source],
      candidate: () => [],
    });
    const answer = await call(7, { key: "a", requestId: "r-1" });
    expect(answer).toEqual([7, "a", "r-1", "legacy", "served"]);
  });

  it.each<[string, unknown]>([
    ["an Error", new Error("boom")],
    ["a string", "boom"],
    ["undefined", undefined],
    ["null", null],
    ["0", 0],
    ["an object", { status: 404 }],
  ])("throws the very value that the path threw: %s", async (_what, thrown) => {
    const { facade } = makeFacade({ [name]: 0 });
    const rejecting = facade.migrate({
      name,
      kind: "read",
      legacy: () => Promise.reject(thrown),
      candidate: () => "new",
    });
    const throwing = facade.migrate({
      name: "image.crop",
      kind: "read",
      legacy: () => {
        throw thrown;
      },
      candidate: () => "new",
    });
    for (const call of [rejecting, throwing]) {
      const caught = await call(1, { key: "a" }).then(
        () => "answered",
        (error: unknown) => ({ error }),
      );
      expect(caught).toEqual({ error: thrown });
    }
  });

  it("answers a failed read of the candidate from legacy, and blames the candidate", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: () => Promise.reject(new Error("boom")),
    });
    const answers: Answered[] = [];
    expect(await read(1, { key: "a", onAnswer: (answer) => answers.push(answer) })).toBe("old");
    expect(answers).toMatchObject([{ path: "legacy", reason: "flag-on", fellBack: true }]);
    expect(seen).toHaveLength(1);
    expect(seen[0] && blameOf(seen[0])).toBe("blamed");
  });

  it("throws legacy's own error when both paths fail, and blames neither", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => Promise.reject("legacy's"),
      candidate: () => Promise.reject("candidate's"),
    });
    await expect(read(1, { key: "a" })).rejects.toBe("legacy's");
    expect(seen[0] && blameOf(seen[0])).toBe("shared");
  });

  it("does not repeat a failed write", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    let legacyRuns = 0;
    const write = facade.migrate({
      name,
      kind: "write",
      legacy: () => {
        legacyRuns += 1;
      },
      candidate: () => Promise.reject("half-way"),
    });
    await expect(write(1, { key: "a" })).rejects.toBe("half-way");
    expect(legacyRuns).toBe(0);
    expect(seen[0] && blameOf(seen[0])).toBe("unknown");
  });

  it("lets legacy finish a write that provably did not happen", async () => {
    const { facade } = makeFacade({ [name]: 100 });
    const write = facade.migrate({
      name,
      kind: "write",
      legacy: () => "old",
      candidate: () => Promise.reject(new Error("refused before anything was sent")),
      effectOf: () => "absent",
    });
    expect(await write(1, { key: "a" })).toBe("old");
  });

  it("counts a client error as refused and does not fall back", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const missing = Object.assign(new Error("missing"), { status: 404 });
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: () => Promise.reject(missing),
    });
    await expect(read(1, { key: "a" })).rejects.toBe(missing);
    expect(seen[0]?.first.kind).toBe("refused");
    expect(seen[0] && blameOf(seen[0])).toBeNull();
  });

  it.each([408, 429, 500, 503])("counts status %i as a failure", async (status) => {
    const { facade, seen } = makeFacade({ [name]: 0 });
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => Promise.reject(Object.assign(new Error("no"), { status })),
      candidate: () => "new",
    });
    await read(1, { key: "a" }).catch(() => undefined);
    expect(seen[0]?.first.kind).toBe("failed");
  });

  it("counts a call that its caller aborted as nobody's failure", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const controller = new AbortController();
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: (_input: number, call) =>
        new Promise((_, reject) => {
          call.signal.addEventListener("abort", () => reject(call.signal.reason));
        }),
    });
    const answer = read(1, { key: "a", signal: controller.signal });
    controller.abort("enough");
    await expect(answer).rejects.toBe("enough");
    expect(seen[0]?.first.kind).toBe("aborted");
  });

  it("times the candidate out, tells it, and answers a read from legacy", async () => {
    const { facade, clock, seen } = makeFacade({ [name]: 100 });
    let told: unknown;
    const read = facade.migrate({
      name,
      kind: "read",
      deadlineMs: 50,
      legacy: () => "old",
      candidate: (_input: number, call) =>
        new Promise<string>((resolve) => {
          call.signal.addEventListener("abort", () => {
            told = call.signal.reason;
            setImmediate(() => resolve("late"));
          });
        }),
    });
    const answer = read(1, { key: "a" });
    await settle();
    clock.advance(50);
    expect(facade.operation(name).load.candidate.abandoned).toBe(1);
    expect(await answer).toBe("old");
    expect(told).toMatchObject({ code: "MIGRATION_DEADLINE_EXCEEDED" });
    expect(seen[0]?.first.kind).toBe("timed-out");
    await settle();
    await settle();
    expect(facade.operation(name).load.candidate.abandoned).toBe(0);
  });

  it("never puts a deadline on legacy", async () => {
    const { facade, clock } = makeFacade({ [name]: 0 });
    const read = facade.migrate({
      name,
      kind: "read",
      deadlineMs: 50,
      legacy: () => new Promise((resolve) => clock.after(1000, () => resolve("old"))),
      candidate: () => "new",
    });
    const answer = read(1, { key: "a" });
    await settle();
    clock.advance(1000);
    expect(await answer).toBe("old");
  });

  it("goes to legacy without a key, and says so", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const read = facade.migrate({ name, kind: "read", legacy: () => 1, candidate: () => 2 });
    expect(await read("x")).toBe(1);
    expect(seen[0]?.decision.reason).toBe("no-key");
  });

  it("keeps one decision for all operations of a migration inside a scope", async () => {
    const { facade, seen } = makeFacade({ [name]: 100, "image.crop": 0 });
    const paths = { kind: "read" as const, legacy: () => 1, candidate: () => 2 };
    const resize = facade.migrate({ ...paths, name });
    const crop = facade.migrate({ ...paths, name: "image.crop" });
    const answers = await runInScope("user-1", async () => [await resize(0), await crop(0)]);
    expect(answers).toEqual([2, 2]);
    expect(seen.map((each) => each.decision.reason)).toEqual(["flag-on", "scope"]);
  });

  it("obeys a tripped latch inside a scope and against an override", async () => {
    const { facade } = makeFacade({ [name]: 100 });
    const resize = facade.migrate({ name, kind: "read", legacy: () => 1, candidate: () => 2 });
    const answers = await runInScope("user-1", async () => {
      const before = await resize(0);
      facade.operation(name).latch.trip({
        by: { type: "rule", name: "test" },
        reason: "test",
        at: new Date(0).toISOString(),
      });
      return [before, await resize(0), await resize(0, { override: "candidate" })];
    });
    expect(answers).toEqual([2, 1, 1]);
  });

  it("survives flags, listeners and costs that throw, counts them, and answers from legacy", async () => {
    const broken: FlagSource = {
      ...staticFlags({ [name]: 100 }),
      revision: () => 1,
      freshness: () => ({ state: "fresh", lastRefreshMs: null }),
      answer: () => {
        throw new Error("flags broke");
      },
    } as unknown as FlagSource;
    const { facade } = makeFacade({}, { flags: broken });
    facade.observations.subscribe(() => {
      throw new Error("listener broke");
    });
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: () => "new",
      cost: () => {
        throw new Error("cost broke");
      },
    });
    expect(await read(1, { key: "a" })).toBe("old");
    expect(Object.fromEntries(facade.internalErrors)).toMatchObject({
      decide: 1,
      observation: 1,
      cost: 1,
    });
  });

  it("refuses a second operation of one name, and a name that cannot be a flag", () => {
    const { facade } = makeFacade();
    const paths = { kind: "read" as const, legacy: () => 1, candidate: () => 2 };
    facade.migrate({ ...paths, name });
    expect(() => facade.migrate({ ...paths, name })).toThrow(CodedError);
    expect(() => facade.migrate({ ...paths, name: "Resize!" })).toThrow(/not an operation name/);
  });
});

describe("admission by memory", () => {
  it("makes calls on legacy wait for room, first come first served", async () => {
    const { facade } = makeFacade({ [name]: 0 }, { limits: { legacyBytes: 100 } });
    const gates: (() => void)[] = [];
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: (input: number) => new Promise((resolve) => gates.push(() => resolve(input))),
      candidate: () => 0,
      cost: () => ({ legacy: 60, candidate: 1 }),
    });
    const first = read(1, { key: "a" });
    const second = read(2, { key: "b" });
    await settle();
    expect(gates).toHaveLength(1);
    expect(facade.operation(name).load.legacy.bytes).toBe(60);
    gates[0]?.();
    expect(await first).toBe(1);
    await settle();
    gates[1]?.();
    expect(await second).toBe(2);
    expect(facade.operation(name).load.legacy.bytes).toBe(0);
  });

  it("refuses with a retry time once the wait is over, and does not blame the path", async () => {
    const { facade, clock, seen } = makeFacade(
      { [name]: 0 },
      { limits: { legacyBytes: 100, waitMs: 1000 } },
    );
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => new Promise(() => undefined),
      candidate: () => 0,
      cost: () => ({ legacy: 100, candidate: 1 }),
    });
    void read(1, { key: "a" });
    const second = read(2, { key: "b" });
    await settle();
    clock.advance(1000);
    await expect(second).rejects.toMatchObject({
      code: "MIGRATION_OVERLOADED",
      retryable: true,
      retryAfterSeconds: 1,
    });
    expect(seen[0]?.first.kind).toBe("refused");
  });

  it("sheds to legacy when the candidate is full and legacy is no heavier", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 }, { limits: { candidateBytes: 10 } });
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: (input: number) => (input === 0 ? new Promise(() => undefined) : "new"),
      cost: () => ({ legacy: 10, candidate: 10 }),
    });
    void read(0, { key: "a" });
    expect(await read(1, { key: "b" })).toBe("old");
    expect(seen[0]?.decision.reason).toBe("shed");
  });

  it("waits for the candidate instead where legacy is the heavier path", async () => {
    const { facade } = makeFacade({ [name]: 100 }, { limits: { candidateBytes: 10 } });
    let open: (value: string) => void = () => undefined;
    const read = facade.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: (input: number) =>
        input === 0 ? new Promise<string>((resolve) => (open = resolve)) : "new",
      cost: () => ({ legacy: 400, candidate: 10 }),
    });
    const first = read(0, { key: "a" });
    const second = read(1, { key: "b" });
    await settle();
    open("first");
    expect([await first, await second]).toEqual(["first", "new"]);
  });
});
