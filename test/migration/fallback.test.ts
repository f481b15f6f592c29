import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FallbackInput, mayFallBack } from "../../src/migration/routing/fallback.ts";

const failedRead: FallbackInput = {
  kind: "read",
  outcome: "failed",
  bytesSent: 0,
  replayable: true,
  effect: "possible",
};

const anyInput: fc.Arbitrary<FallbackInput> = fc.record({
  kind: fc.constantFrom("read" as const, "write" as const),
  outcome: fc.constantFrom(
    "succeeded" as const,
    "refused" as const,
    "failed" as const,
    "timed-out" as const,
    "aborted" as const,
  ),
  bytesSent: fc.nat(),
  replayable: fc.boolean(),
  effect: fc.constantFrom("absent" as const, "possible" as const),
});

describe("whether legacy may answer a call that the candidate did not", () => {
  it.each<[string, Partial<FallbackInput>, boolean, string]>([
    ["a read that failed", {}, true, "read"],
    ["a read that timed out", { outcome: "timed-out" }, true, "read"],
    ["a read whose body has begun", { bytesSent: 1 }, false, "bytes-sent"],
    ["a read that was refused", { outcome: "refused" }, false, "not-failed"],
    ["a call that its caller aborted", { outcome: "aborted" }, false, "not-failed"],
    ["a one-shot body", { replayable: false }, false, "not-replayable"],
    ["a write that may have happened", { kind: "write" }, false, "effect-possible"],
    ["a write that did not happen", { kind: "write", effect: "absent" }, true, "effect-absent"],
    [
      "a write that timed out, whatever its error says",
      { kind: "write", effect: "absent", outcome: "timed-out" },
      false,
      "effect-possible",
    ],
  ])("%s", (_what, input, allowed, reason) => {
    expect(mayFallBack({ ...failedRead, ...input })).toMatchObject({ allowed, reason });
  });

  it("never answers twice: not after a byte was sent, nor where the candidate answered", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const answered = input.outcome === "succeeded" || input.bytesSent > 0;
        expect(answered && mayFallBack(input).allowed).toBe(false);
      }),
    );
  });

  it("never doubles a write that may have happened", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        expect(mayFallBack({ ...input, kind: "write", effect: "possible" }).allowed).toBe(false);
      }),
    );
  });
});
