import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Path } from "../../src/migration/call.ts";
import type { Outcome } from "../../src/migration/outcome.ts";
import { type Comparison, type ComparisonRules, compare } from "../../src/shadow/comparison.ts";

const timing = { durationMs: 1, firstByteMs: null, bytes: 0 };

function answered(path: Path, output: unknown): Outcome {
  return { ...timing, kind: "succeeded", path, output, digest: null };
}

function threw(path: Path, error: unknown): Outcome {
  return { ...timing, kind: "failed", path, error };
}

const compareValues = (a: unknown, b: unknown, rules: ComparisonRules = {}): Comparison =>
  compare(rules, answered("legacy", a), answered("candidate", b));

/** Another object with the same content; what cannot be cloned stays itself. */
function copyOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return value;
  }
}

describe("comparing any values", () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
    withBoxedValues: true,
  });

  it("never throws", () => {
    fc.assert(
      fc.property(anything, anything, fc.array(fc.string()), (a, b, ignore) => {
        expect(["same", "different", "incomparable"]).toContain(
          compareValues(a, b, { ignore }).kind,
        );
        expect(() => compare({}, threw("legacy", a), threw("candidate", b))).not.toThrow();
      }),
    );
  });

  it("never throws for objects that throw when they are looked at", () => {
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error("get");
        },
        ownKeys: () => {
          throw new Error("keys");
        },
      },
    );
    expect(compareValues(hostile, {})).toMatchObject({ kind: "incomparable" });
    expect(compare({}, threw("legacy", hostile), threw("candidate", hostile)).kind).toBeDefined();
  });

  it("finds a value the same as its copy", () => {
    fc.assert(
      fc.property(anything, (value) => {
        expect(compareValues(value, copyOf(value))).toEqual({ kind: "same" });
      }),
    );
  });

  it("gives the same kind in both directions", () => {
    fc.assert(
      fc.property(anything, anything, (a, b) => {
        expect(compareValues(a, b).kind).toBe(compareValues(b, a).kind);
      }),
    );
  });

  it("never finds a difference in an ignored field", () => {
    const record = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), anything);
    fc.assert(
      fc.property(record, anything, anything, (fields, a, b) => {
        const ignore = ["ignored"];
        const comparison = compareValues(
          { ...fields, ignored: a },
          { ...(copyOf(fields) as object), ignored: b },
          { ignore },
        );
        expect(comparison).toEqual({ kind: "same" });
      }),
    );
  });

  it("finds a change of any one field", () => {
    const record = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.integer(), { minKeys: 1 });
    fc.assert(
      fc.property(record, fc.nat(), (fields, pick) => {
        const names = Object.keys(fields);
        const name = names[pick % names.length] ?? "";
        const changed = { ...fields, [name]: (fields[name] ?? 0) + 1 };
        expect(compareValues(fields, changed)).toMatchObject({
          differences: [{ path: name, kind: "value" }],
        });
      }),
    );
  });
});
