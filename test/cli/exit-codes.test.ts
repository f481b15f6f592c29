import { describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { type ExitName, exitCodes, exitOf, exitOfMany } from "../../src/cli/exit-codes.ts";

const coded = (code: string, status: number): CodedError => new CodedError(code, "x", { status });

describe("exit codes", () => {
  it("are all different", () => {
    const codes = Object.values(exitCodes).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
  });

  it.each<[string, number, ExitName]>([
    ["FILES_INVALID_NAME", 400, "usage"],
    ["FILES_UNREADABLE", 403, "usage"],
    ["FILES_MISSING", 404, "notFound"],
    ["FILES_NOT_FOUND", 404, "notFound"],
    ["FILES_TOO_LARGE", 413, "usage"],
    ["FILES_DUPLICATE", 409, "failed"],
    ["CLI_FILE_EXISTS", 409, "failed"],
    ["FILES_SPOOL_FULL", 507, "busy"],
    ["FILES_BACKEND_UNAVAILABLE", 503, "unavailable"],
    ["FILES_INTEGRITY", 502, "failed"],
    ["FLAGS_HELD", 409, "refused"],
    ["FLAGS_INVALID_PERCENTAGE", 400, "usage"],
    ["MIGRATION_OVERLOADED", 503, "busy"],
    ["MIGRATION_UNKNOWN_OPERATION", 404, "usage"],
    ["GATEWAY_PORT_BUSY", 503, "busy"],
    ["GATEWAY_UNAUTHORISED", 401, "usage"],
    ["SANDBOX_START_FAILED", 500, "unavailable"],
    ["CLI_INTERRUPTED", 499, "interrupted"],
    ["NEVER_HEARD_OF", 500, "failed"],
    ["NEVER_HEARD_OF", 503, "unavailable"],
  ])("%s with status %i is %s", (code, status, expected) => {
    expect(exitOf(coded(code, status))).toBe(expected);
  });

  it("call everything failed that nobody has coded", () => {
    expect(exitOf(new TypeError("x"))).toBe("failed");
    expect(exitOf(null)).toBe("failed");
  });

  it("tell work that was done in part from work that was not done", () => {
    const missing = coded("FILES_MISSING", 404);
    expect(exitOfMany(3, [])).toBe("done");
    expect(exitOfMany(2, [missing])).toBe("partly");
    expect(exitOfMany(0, [missing, missing])).toBe("notFound");
    expect(exitOfMany(0, [missing, coded("FILES_INVALID_NAME", 400)])).toBe("failed");
  });
});
