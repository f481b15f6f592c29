import { describe, expect, it } from "vitest";
import { ActiveCall } from "../../src/migration/call.ts";
import { Operation } from "../../src/migration/operation.ts";
import type { Outcome } from "../../src/migration/outcome.ts";
import { compare } from "../../src/shadow/comparison.ts";
import { MismatchLog } from "../../src/shadow/mismatch-log.ts";
import type { ShadowResult } from "../../src/shadow/shadow.ts";

const never = (): undefined => undefined;

const operationNamed = (name: string) =>
  new Operation({ name, kind: "read", legacy: never, candidate: never }, never);
const operation = operationNamed("test.read");

interface Seen {
  readonly of?: typeof operation;
  readonly key?: string;
  readonly requestId?: string;
  readonly atMs?: number;
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
