import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { ActiveCall } from "../../src/migration/call.ts";
import { Operation } from "../../src/migration/operation.ts";
import type { Outcome } from "../../src/migration/outcome.ts";
import { compare } from "../../src/shadow/comparison.ts";
import { type CaseStore, MismatchLog } from "../../src/shadow/mismatch-log.ts";
import type { ShadowResult } from "../../src/shadow/shadow.ts";
import { settle } from "./shadowed-facade.ts";

const never = (): undefined => undefined;

const operationNamed = (name: string) =>
  new Operation({ name, kind: "read", legacy: never, candidate: never }, never);
const operation = operationNamed("test.read");

interface Seen {
  readonly of?: typeof operation;
  readonly key?: string;
  readonly requestId?: string;
  readonly atMs?: number;
  readonly input?: unknown;
}

function resultOf(legacy: unknown, candidate: unknown, seen: Seen = {}): ShadowResult {
  const common = {
    kind: "succeeded",
    durationMs: 1,
    firstByteMs: null,
    bytes: 0,
    digest: null,
  } as const;
  const served: Outcome = { ...common, path: "legacy", output: legacy };
  const shadow: Outcome = { ...common, path: "candidate", output: candidate };
  const comparison = compare({}, served, shadow);
  const call = new ActiveCall("test.read", "legacy", "served", seen.key ?? "user-17", {
    requestId: seen.requestId ?? "r",
  });
  return {
    ...{ operation: seen.of ?? operation, requestId: call.requestId, key: call.key },
    ...{ result: comparison.kind, served, shadow, comparison, blame: null, atMs: seen.atMs ?? 0 },
    ...{ input: seen.input, noise: [] },
  };
}

describe("the mismatch log", () => {
  it("keeps one entry for each shape of difference, with its count and first and last sighting", () => {
    const log = new MismatchLog();
    const seen = (n: number, at: number) =>
      log.add(resultOf([{ n: 0 }, { n: 1 }], [{ n: 0 }, { n }], { atMs: at, requestId: `r${n}` }));
    seen(5, 0);
    seen(6, 60_000);
    log.add(
      resultOf([{ n: 1 }, { n: 1 }], [{ n: 3 }, { n: 1 }], { atMs: 120_000, requestId: "r9" }),
    );
    expect(log.list()).toMatchObject([
      {
        operation: "test.read",
        count: 3,
        firstSeen: "1970-01-01T00:00:00.000Z",
        lastSeen: "1970-01-01T00:02:00.000Z",
        served: "legacy",
        requestId: "r9",
        kinds: ["value"],
        differences: [{ path: "0.n", kind: "value", legacy: "1", candidate: "3" }],
      },
    ]);
  });

  it("tells other fields, other kinds and other operations apart, the newest first", () => {
    const log = new MismatchLog();
    log.add(resultOf({ a: 1 }, { a: 2 }));
    log.add(resultOf({ b: 1 }, { b: 2 }));
    log.add(resultOf({ a: 1 }, {}));
    log.add(resultOf({ a: 1 }, { a: 2 }, { of: operationNamed("test.other") }));
    log.add(resultOf({ a: 3 }, { a: 4 }));
    const listed = log.list().map((each) => [each.operation, each.kinds[0], each.count]);
    expect(listed).toEqual([
      ["test.read", "value", 2],
      ["test.other", "value", 1],
      ["test.read", "missing", 1],
      ["test.read", "value", 1],
    ]);
    expect(log.list("test.other")).toHaveLength(1);
  });

  it("takes no note of results that are the same or cannot be compared", () => {
    const log = new MismatchLog();
    log.add(resultOf(1, 1));
    log.add(resultOf(Promise.resolve(), Promise.resolve()));
    expect(log.list()).toEqual([]);
  });

  it("forgets the shape that was not seen for longest when it is full", () => {
    const log = new MismatchLog({ max: 2 });
    log.add(resultOf({ a: 1 }, { a: 2 }));
    log.add(resultOf({ b: 1 }, { b: 2 }));
    log.add(resultOf({ a: 1 }, { a: 2 }));
    log.add(resultOf({ c: 1 }, { c: 2 }));
    const paths = log.list().map((each) => each.differences[0]?.path);
    expect([paths, log.forgotten]).toEqual([["c", "a"], 1]);
  });

  it("never holds the routing key, only its salted hash", () => {
    const log = new MismatchLog({ salt: "pepper" });
    log.add(resultOf(1, 2, { key: "anna@example.org" }));
    const json = JSON.stringify(log.list());
    expect(json).not.toContain("anna");
    expect(json).toContain(log.hashKey("anna@example.org"));
    const elsewhere = new MismatchLog({ salt: "pepper" });
    expect(elsewhere.hashKey("anna@example.org")).toBe(log.hashKey("anna@example.org"));
    expect(new MismatchLog().hashKey("anna@example.org")).not.toBe(log.hashKey("anna@example.org"));
  });

  it("survives a round through JSON, and can be cleared", () => {
    const log = new MismatchLog();
    log.add(resultOf({ a: 1n, d: new Date(0) }, { a: 2n, d: new Date(1) }));
    expect(JSON.parse(JSON.stringify(log.list()))).toEqual(log.list());
    log.clear("test.other");
    expect(log.list()).toHaveLength(1);
    log.clear();
    expect(log.list()).toEqual([]);
  });
});

describe("a mismatch log with a store", () => {
  function storing() {
    const kept = new Map<string, object>();
    const writes: string[] = [];
    const store: CaseStore = {
      load: async () => [...kept.values()],
      update: async (id, change) => {
        writes.push(id);
        kept.set(id, JSON.parse(JSON.stringify(change(kept.get(id)))));
      },
      remove: async (id) => void kept.delete(id),
    };
    const clock = new ManualClock();
    const reported: unknown[] = [];
    const report = (_: string, error: unknown): void => void reported.push(error);
    const open = (max = 100) => new MismatchLog({ max, keeping: { store, clock, report } });
    return { kept, writes, store, clock, reported, open };
  }

  it("keeps the first sighting at once, and later ones once a second at most", async () => {
    const { kept, writes, clock, open } = storing();
    const log = open();
    log.add(resultOf({ a: 1 }, { a: 2 }));
    await settle();
    expect(writes).toHaveLength(1);
    for (let n = 0; n < 1000; n += 1) log.add(resultOf({ a: 1 }, { a: 2 }, { atMs: n }));
    await settle();
    expect(writes).toHaveLength(1);
    clock.advance(1000);
    await settle();
    expect(writes).toHaveLength(2);
    expect([...kept.values()]).toEqual(JSON.parse(JSON.stringify(log.list())));
    log.add(resultOf({ a: 1 }, { a: 2 }));
    await log.close();
    expect([...kept.values()]).toMatchObject([{ count: 1002 }]);
    expect(clock.pending).toBe(0);
  });

  it("goes on counting after a restart, and beside another process", async () => {
    const { kept, open } = storing();
    const [first, second] = [open(), open()];
    first.add(resultOf({ a: 1 }, { a: 2 }, { atMs: 1000, requestId: "r1" }));
    second.add(resultOf({ a: 1 }, { a: 2 }, { atMs: 2000, requestId: "r2" }));
    await Promise.all([first.close(), second.close()]);
    const third = open();
    await third.load();
    third.add(resultOf({ a: 1 }, { a: 2 }, { atMs: 3000, requestId: "r3" }));
    await third.close();
    const expected = { count: 3, firstSeen: "1970-01-01T00:00:01.000Z", requestId: "r3" };
    expect(third.list()).toMatchObject([expected]);
    expect([...kept.values()]).toMatchObject([expected]);
  });

  it("keeps no more on disk than in memory", async () => {
    const { kept, open } = storing();
    const log = open(2);
    for (const name of ["a", "b", "c", "d"]) log.add(resultOf({ [name]: 1 }, { [name]: 2 }));
    await log.close();
    expect([...kept.keys()].sort()).toEqual(
      log
        .list()
        .map(({ id }) => id)
        .sort(),
    );
    const smaller = open(1);
    await smaller.load();
    await smaller.close();
    expect(kept.size).toBe(1);
    smaller.clear();
    await smaller.close();
    expect(kept.size).toBe(0);
  });

  it("starts without a past that cannot be read, and outlives a disk that is full", async () => {
    const { kept, store, reported, open } = storing();
    kept.set("x", { version: 2 });
    kept.set("y", { id: "0123456789ab" });
    const broken = open();
    await broken.load();
    expect(broken.list()).toEqual([]);
    store.load = () => Promise.reject(new Error("unreadable"));
    store.update = () => Promise.reject(new Error("full"));
    await broken.load();
    broken.add(resultOf({ a: 1 }, { a: 2 }));
    await broken.close();
    expect(broken.list()).toHaveLength(1);
    expect(reported).toMatchObject([{ message: "unreadable" }, { message: "full" }]);
  });

  it("prefers an input to none, and otherwise the newest sighting", () => {
    const log = new MismatchLog();
    const recording = operationNamed("test.read");
    let isThere = true;
    Object.assign(recording.definition, {
      recordInput: (input: unknown) => {
        if (isThere) return input;
        throw new Error("no");
      },
    });
    log.add(resultOf({ a: 1 }, { a: 2 }, { of: recording, input: 1, atMs: 1 }));
    log.add(resultOf({ a: 1 }, { a: 2 }, { of: recording, input: 2, atMs: 2 }));
    isThere = false;
    log.add(resultOf({ a: 1 }, { a: 3 }, { of: recording, input: 3, atMs: 3 }));
    expect(log.list()).toMatchObject([
      { count: 3, input: 2, inputNote: null, differences: [{ candidate: "3" }] },
    ]);
  });
});
