import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import type { Path } from "../../src/migration/call.ts";
import type { Outcome } from "../../src/migration/outcome.ts";
import { type Comparison, type ComparisonRules, compare } from "../../src/shadow/comparison.ts";

const timing = { durationMs: 1, firstByteMs: null, bytes: 0 };

function answered(path: Path, output: unknown): Outcome {
  return { ...timing, kind: "succeeded", path, output, digest: null };
}

function streamed(path: Path, output: unknown, text: string | null): Outcome {
  const digest = text === null ? null : createHash("sha256").update(text).digest("hex");
  return { ...timing, kind: "succeeded", path, output, digest, bytes: text?.length ?? 0 };
}

function threw(path: Path, error: unknown, kind: "failed" | "timed-out" | "refused" = "failed") {
  return { ...timing, kind, path, error } satisfies Outcome;
}

const compareValues = (a: unknown, b: unknown, rules: ComparisonRules = {}): Comparison =>
  compare(rules, answered("legacy", a), answered("candidate", b));

const differencesOf = (comparison: Comparison): string[] =>
  comparison.kind === "different"
    ? comparison.differences.map((each) => `${each.path} ${each.kind}`)
    : [comparison.kind];

const shownOf = (comparison: Comparison): string => JSON.stringify(comparison);

class Point {
  x: number;
  constructor(x: number) {
    this.x = x;
  }
}
class Sealed {
  readonly #inside: number;
  constructor(inside: number) {
    this.#inside = inside;
  }
  peek(): number {
    return this.#inside;
  }
}
class NotFound extends Error {
  readonly status = 404;
}
class Coded extends Error {
  readonly code: string;
  constructor(code: string, message = "no") {
    super(message);
    this.code = code;
  }
}

describe("comparing two answers", () => {
  it.each([
    ["equal numbers", 1, 1],
    ["NaN and NaN", Number.NaN, Number.NaN],
    ["0 and -0", 0, -0],
    ["a field that is undefined and one that is not there", { a: undefined }, {}],
    ["fields in another order", { a: 1, b: 2 }, { b: 2, a: 1 }],
    ["equal dates", new Date(5), new Date(5)],
    ["two invalid dates", new Date(Number.NaN), new Date(Number.NaN)],
    ["a Buffer and a Uint8Array of the same bytes", Buffer.from("ab"), new Uint8Array([97, 98])],
    [
      "maps in another order",
      new Map([
        [1, { a: 1 }],
        [2, { a: 2 }],
      ]),
      new Map([
        [2, { a: 2 }],
        [1, { a: 1 }],
      ]),
    ],
    ["maps whose keys are objects", new Map([[{ k: 1 }, 1]]), new Map([[{ k: 1 }, 1]])],
    ["sets in another order", new Set([1, { a: 1 }]), new Set([{ a: 1 }, 1])],
    ["instances of one class", new Point(1), new Point(1)],
    ["equal URLs", new URL("http://a.test/x"), new URL("http://a.test/x")],
    ["equal headers", new Headers({ a: "1" }), new Headers({ a: "1" })],
    ["errors as values", new Coded("A", "x"), new Coded("A", "x")],
    ["objects with methods", { run: () => 1 }, { run: () => 2 }],
    [
      "a plain object and one without a prototype",
      { a: 1 },
      Object.assign(Object.create(null), { a: 1 }),
    ],
  ])("finds %s the same", (_, a, b) => {
    expect(compareValues(a, b)).toEqual({ kind: "same" });
  });

  it.each([
    ["another value", { a: { b: 1 } }, { a: { b: 2 } }, "a.b value"],
    ["a field that the candidate lost", { a: 1, b: 2 }, { a: 1 }, "b missing"],
    ["a field that the candidate added", { a: 1 }, { a: 1, b: 2 }, "b extra"],
    ["another type", { a: "1" }, { a: 1 }, "a type"],
    ["null instead of an object", { a: {} }, { a: null }, "a type"],
    ["a list of another length", [1, 2], [1, 2, 3], "(value) length"],
    [
      "the same items in another order",
      { l: [{ a: 1 }, { a: 2 }] },
      { l: [{ a: 2 }, { a: 1 }] },
      "l order",
    ],
    ["one item of a list", [{ a: 1 }, { a: 2 }], [{ a: 1 }, { a: 3 }], "1.a value"],
    ["another date", new Date(1), new Date(2), "(value) value"],
    ["another class", new Point(1), { x: 1 }, "(value) type"],
    ["other bytes", Buffer.from("ab"), Buffer.from("ac"), "(value) value"],
    ["fewer bytes", Buffer.from("ab"), Buffer.from("a"), "(value) length"],
    ["numbers of another width", new Float32Array(2), new Uint8Array(8), "(value) type"],
    ["a map without one key", new Map([["a", 1]]), new Map(), "a missing"],
    ["another set", new Set([1, 2]), new Set([1, 3]), "(value) value"],
    ["another URL", new URL("http://a.test/x"), new URL("http://a.test/y"), "(value) value"],
    ["another message of an error as a value", new Error("a"), new Error("b"), "message value"],
    ["undefined instead of an answer", { a: 1 }, undefined, "(value) type"],
  ])("finds %s", (_, a, b, expected) => {
    expect(differencesOf(compareValues(a, b))).toEqual([expected]);
  });

  it("follows circles on both sides without end", () => {
    const circle = (name: string): unknown => {
      const self: Record<string, unknown> = { name };
      self["self"] = [self];
      return self;
    };
    expect(compareValues(circle("a"), circle("a"))).toEqual({ kind: "same" });
    expect(differencesOf(compareValues(circle("a"), circle("b")))).toEqual(["name value"]);
  });

  it("lists at most 20 differences and says that there are more", () => {
    const many = (from: number) =>
      Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`f${index}`, from + index]));
    const comparison = compareValues(many(0), many(100));
    expect(comparison).toMatchObject({ kind: "different", truncated: true });
    expect(differencesOf(comparison)).toHaveLength(20);
  });

  it("says that it cannot tell where it cannot look inside", () => {
    const opaque = { kind: "incomparable", why: "opaque" };
    expect(compareValues(new Sealed(1), new Sealed(2))).toMatchObject(opaque);
    expect(compareValues(Promise.resolve(1), Promise.resolve(1))).toMatchObject(opaque);
    expect(compareValues(Readable.from(["a"]), Readable.from(["b"]))).toMatchObject(opaque);
    const counting = function* () {
      yield 1;
    };
    expect(compareValues(counting(), counting())).toMatchObject(opaque);
  });

  it("says that it cannot tell beyond its limits, unless a difference was found before", () => {
    const deep = (levels: number): unknown => (levels === 0 ? {} : { in: deep(levels - 1) });
    expect(compareValues(deep(80), deep(80))).toMatchObject({ why: "too-deep" });
    const wide = (first: number) => [first, ...Array.from({ length: 30_000 }, (_, n) => ({ n }))];
    expect(compareValues(wide(1), wide(1))).toMatchObject({ why: "too-large" });
    const both = { a: 1, deep: deep(80) };
    expect(compareValues(both, { a: 2, deep: deep(80) })).toMatchObject({
      kind: "different",
      truncated: true,
    });
    const set = (offset: number) =>
      new Set(Array.from({ length: 65 }, (_, n) => ({ n: n + offset })));
    expect(compareValues(set(0), set(0))).toMatchObject({ why: "too-large" });
  });
});

describe("what an operation says about sameness", () => {
  it("leaves out ignored fields, where * stands for any one part", () => {
    const a = { items: [{ id: 1, n: 1 }], at: 1 };
    const b = { items: [{ id: 2, n: 1 }], at: 2 };
    expect(compareValues(a, b, { ignore: ["items.*.id", "at"] })).toEqual({ kind: "same" });
    expect(differencesOf(compareValues(a, b, { ignore: ["at", "*.id"] }))).toEqual([
      "items.0.id value",
    ]);
  });

  it("compares what normalise makes of the outputs", () => {
    const normalise = (output: unknown) => [...(output as number[])].sort();
    expect(compareValues([1, 2], [2, 1], { normalise })).toEqual({ kind: "same" });
  });

  it("lets same decide, and still says where the outputs differ", () => {
    expect(compareValues({ a: 1 }, { a: 2 }, { same: () => true })).toEqual({ kind: "same" });
    expect(differencesOf(compareValues({ a: 1 }, { a: 2 }, { same: () => false }))).toEqual([
      "a value",
    ]);
    expect(differencesOf(compareValues(1, 1, { same: () => false }))).toEqual(["(value) value"]);
  });

  it("cannot tell when same or normalise throw, or same is asynchronous by mistake", () => {
    const fail = (): never => {
      throw new Error("comparator");
    };
    const why = "comparator-threw";
    expect(compareValues(1, 2, { same: fail })).toMatchObject({ kind: "incomparable", why });
    expect(compareValues(1, 2, { normalise: fail })).toMatchObject({ kind: "incomparable", why });
    const asynchronous = (async () => false) as unknown as () => boolean;
    expect(compareValues(1, 2, { same: asynchronous })).toMatchObject({ why });
  });
});

describe("comparing streams", () => {
  const rules: ComparisonRules = { result: "stream" };
  const body = () => Readable.from([]);

  it("compares length and digest of the bodies", () => {
    const run = (a: string | null, b: string | null) =>
      compare(rules, streamed("legacy", body(), a), streamed("candidate", body(), b));
    expect(run("abc", "abc")).toEqual({ kind: "same" });
    expect(differencesOf(run("abc", "abd"))).toEqual(["body value"]);
    expect(differencesOf(run("abc", "ab"))).toEqual(["body length"]);
    expect(run("abc", null)).toMatchObject({ kind: "incomparable", why: "no-digest" });
  });

  it("compares the other fields of an output beside its body", () => {
    const run = (a: object, b: object, more: ComparisonRules = {}) =>
      compare(
        { ...rules, ...more },
        streamed("legacy", { body: body(), ...a }, "x"),
        streamed("candidate", { body: body(), ...b }, "x"),
      );
    expect(run({ type: "a" }, { type: "a" })).toEqual({ kind: "same" });
    expect(differencesOf(run({ type: "a" }, { type: "b" }))).toEqual(["type value"]);
    expect(run({ type: "a" }, { type: "b" }, { ignore: ["type"] })).toEqual({ kind: "same" });
  });

  it("notices a body on one side only", () => {
    const comparison = compare(
      rules,
      streamed("legacy", { body: body(), size: 1 }, "x"),
      streamed("candidate", { body: null, size: 1 }, null),
    );
    expect(differencesOf(comparison)).toEqual(["body missing"]);
  });

  it("leaves the body out where the operation ignores it", () => {
    const comparison = compare(
      { ...rules, ignore: ["body"] },
      streamed("legacy", { body: body(), size: 1 }, "x"),
      streamed("candidate", { body: body(), size: 1 }, null),
    );
    expect(comparison).toEqual({ kind: "same" });
  });
});

describe("comparing what is not an answer", () => {
  it("finds two failures both failed, whatever their messages", () => {
    const comparison = compare(
      {},
      threw("legacy", new Coded("ECONNRESET", "socket 1")),
      threw("candidate", new Coded("ECONNRESET", "socket 2")),
    );
    expect(comparison).toEqual({
      kind: "both_failed",
      legacy: "failed with Coded ECONNRESET",
      candidate: "failed with Coded ECONNRESET",
    });
  });

  it("finds the same refusal on both sides the same: it is an answer", () => {
    const refused = (path: Path) => threw(path, new NotFound("x"), "refused");
    expect(compare({}, refused("legacy"), refused("candidate"))).toEqual({ kind: "same" });
  });

  it.each([
    ["code", new Coded("A"), new Coded("B")],
    ["class", new Coded("A"), Object.assign(new Error("x"), { code: "A" })],
    ["type", "thrown text", 7],
  ])("finds refusals that differ in %s different, and failures nonetheless shared", (_, a, b) => {
    const refused = compare({}, threw("legacy", a, "refused"), threw("candidate", b, "refused"));
    expect(differencesOf(refused)).toEqual(["(error) error"]);
    const failed = compare({}, threw("legacy", a), threw("candidate", b, "timed-out"));
    expect(failed).toMatchObject({ kind: "both_failed" });
  });

  it("tells a failure from an answer", () => {
    const failed = threw("candidate", new Coded("A"));
    expect(differencesOf(compare({}, answered("legacy", 1), failed))).toEqual([
      "(outcome) outcome",
    ]);
    const refused = threw("legacy", new NotFound("x"), "refused");
    expect(differencesOf(compare({}, refused, failed))).toEqual(["(outcome) outcome"]);
  });

  it("cannot tell anything from an aborted run", () => {
    const aborted: Outcome = { ...timing, kind: "aborted", path: "legacy", error: null };
    expect(compare({}, aborted, answered("candidate", 1))).toMatchObject({ why: "aborted" });
  });
});

describe("what a comparison shows", () => {
  it("masks fields whose names look secret, and values that look like credentials", () => {
    const a = { accessToken: "aaa", user: { password: "bbb" }, note: "Bearer abcdef", n: "plain" };
    const b = { accessToken: "ccc", user: { password: "ddd" }, note: "Bearer ghijkl", n: "other" };
    const shown = shownOf(compareValues(a, b));
    for (const secret of ["aaa", "bbb", "ccc", "ddd", "abcdef", "ghijkl"]) {
      expect(shown).not.toContain(secret);
    }
    expect(shown).toContain("plain");
  });

  it("shortens values to 200 characters and shows objects by their size only", () => {
    const comparison = compareValues({ a: "x".repeat(5000), b: { hidden: "z" } }, { a: "y", b: 1 });
    expect(shownOf(comparison).length).toBeLessThan(800);
    expect(shownOf(comparison)).not.toContain("hidden");
    expect(shownOf(comparison)).toContain("Object with 1 fields");
  });

  it("does not show the messages of errors", () => {
    const comparison = compare(
      {},
      threw("legacy", new Error("user 17 is broke")),
      answered("candidate", 1),
    );
    expect(shownOf(comparison)).not.toContain("broke");
  });
});
