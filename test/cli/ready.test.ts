import { describe, expect, it, vi } from "vitest";
import type { ReadyReport } from "../../src/app/ready/ready-check.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Ran } from "./command-line.ts";

vi.setConfig({ testTimeout: 60_000 });

describe("changeover ready", () => {
  const folder = eachTestFolder();
  const run = (...words: string[]): Promise<Ran> =>
    changeover([...words, "--data-dir", folder.in("data")]);

  it("ends with 1 and gives every reason while something is open or cannot be told", async () => {
    await run("flags", "set", "upload", "100");
    const ran = await run("ready", "upload", "--days", "7", "--calls", "5", "--json");
    expect(ran).toMatchObject({ code: 1, stderr: "" });
    const report = JSON.parse(ran.stdout) as ReadyReport;
    expect(report).toMatchObject({ operation: "files.upload", ready: false });
    expect(report.limits).toEqual({ days: 7, calls: 5, mismatchRate: 0.001, drillDays: 90 });
    expect(Date.now() - Date.parse(report.fullSince ?? "")).toBeLessThan(60_000);
    expect(Object.fromEntries(report.checks.map(({ name, state }) => [name, state]))).toEqual({
      "full-time": "failed",
      calls: "unknown",
      fallbacks: "unknown",
      rollbacks: "passed",
      mismatches: "unknown",
      inputs: "unknown",
      rollout: "failed",
      latch: "passed",
      drill: "failed",
      "flag-age": "passed",
    });
  });

  it("tells it in words, and of a rollback", async () => {
    await run("rollback", "upload", "--reason", "wrong hashes");
    const { code, stdout } = await run("ready", "upload");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^files\.upload: not ready: \d+ checks of 10 not passed/);
    expect(stdout).toMatch(/^ +rollbacks +failed +1 in the last 14 days.*wrong hashes/m);
    expect(stdout).toMatch(/^ +latch +failed +Tripped since/m);
  });

  it("refuses an operation that does not exist, and limits that are none", async () => {
    const unknown = await run("ready", "uplaod", "--json");
    expect([unknown.code, errorOf(unknown).code]).toEqual([2, "MIGRATION_UNKNOWN_OPERATION"]);
    const none = await run("ready", "upload", "--days", "0", "--json");
    expect([none.code, errorOf(none).code]).toEqual([2, "CLI_USAGE"]);
  });
});
