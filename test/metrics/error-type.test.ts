import { describe, expect, it } from "vitest";
import { errorTypeOf } from "../../src/metrics/error-type.ts";
import type { Outcome } from "../../src/migration/outcome.ts";

const failed = (error: unknown): Outcome => ({
  ...{ kind: "failed", path: "candidate", durationMs: 1, firstByteMs: null, bytes: 0 },
  error,
});
const caused = (cause: unknown): Error => new TypeError("fetch failed", { cause });

describe("the type of an error", () => {
  it.each([
    ["a lost connection", { code: "ECONNRESET" }, "network"],
    ["a network error behind a client's own", caused({ code: "ENOTFOUND" }), "network"],
    ["undici's closed socket", caused({ code: "UND_ERR_SOCKET" }), "network"],
    ["undici's waiting for headers", { code: "UND_ERR_HEADERS_TIMEOUT" }, "timeout"],
    ["an aborting timer", new DOMException("late", "TimeoutError"), "timeout"],
    ["a gateway's timeout", { status: 504 }, "timeout"],
    ["a full disk", { code: "ENOSPC" }, "resources"],
    ["too many requests", { status: 429 }, "throttled"],
    ["a wrong key", { statusCode: 401 }, "unauthorised"],
    ["a refusal", { status: 422 }, "rejected"],
    ["a failing server", { status: 503 }, "unavailable"],
    ["a mistake in the code", new TypeError("x is not a function"), "programming"],
    ["a status behind a TypeError", caused({ status: 500 }), "unavailable"],
    ["anything else", new Error("no"), "other"],
    ["a string", "no", "other"],
    ["nothing", undefined, "other"],
    ["null", null, "other"],
  ])("of %s", (_what, error, type) => {
    expect(errorTypeOf(failed(error))).toBe(type);
  });

  it("of a timed-out run is timeout, whatever it threw", () => {
    expect(errorTypeOf({ ...failed(new Error("no")), kind: "timed-out" } as Outcome)).toBe(
      "timeout",
    );
  });

  it("ends for a cause that is its own cause", () => {
    const error: { cause?: unknown } = {};
    error.cause = error;
    expect(errorTypeOf(failed(error))).toBe("other");
  });
});
