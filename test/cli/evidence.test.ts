import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { FileMismatchStore } from "../../src/disk/mismatch-store.ts";
import type { MismatchCase } from "../../src/shadow/cases/mismatch-case.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Ran } from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

const folder = eachTestFolder();

const run = (...words: string[]): Promise<Ran> =>
  changeover([...words, "--data-dir", folder.in("data")]);

const kept: MismatchCase = {
  version: 1,
  id: "4f2a00000000",
  operation: "files.info",
  count: 3,
  firstSeen: "2026-11-21T10:00:00.000Z",
  lastSeen: "2026-11-21T11:00:00.000Z",
  served: "legacy",
  requestId: "r-1",
  keyHash: "0".repeat(16),
  kinds: ["value"],
  differences: [{ path: "sizeBytes", kind: "value", legacy: "1", candidate: "2" }],
  truncated: false,
  legacy: { what: "succeeded", durationMs: 1, bytes: 0, digest: null },
  candidate: { what: "succeeded", durationMs: 1, bytes: 0, digest: null },
  noise: [],
  input: { owner: "local", id: "0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10" },
  inputNote: null,
};

describe("mismatches on the command line", () => {
  it("say so when there are none, and which id nobody knows", async () => {
    expect(await run("mismatches")).toMatchObject({
      code: 0,
      stdout: "No mismatch has been seen.\n",
    });
    const unknown = await run("mismatches", "show", "abc", "--json");
    expect(unknown.code).toBe(4);
    expect(errorOf(unknown)).toMatchObject({ code: "SHADOW_UNKNOWN_CASE" });
  });

  it("are listed, shown by the beginning of their id, and exported as a test", async () => {
    const report = (_part: string, error: unknown): never => {
      throw error;
    };
    const store = new FileMismatchStore({ folder: folder.in("data"), clock: systemClock, report });
    await store.update(kept.id, () => kept);
    expect((await run("mismatches", "ls")).stdout).toMatch(
      /4f2a00000000 {2}files\.info {2}seen 3 times/,
    );
    const shown = await run("mismatches", "show", "4f2a");
    expect(shown.stdout).toMatch(/sizeBytes +value +legacy 1 +candidate 2/);
    expect(shown.stdout).toContain("0b8f7c1e");
    const file = folder.in("mismatch.test.ts");
    expect((await run("mismatches", "export", "4f2a", "--vitest", "-o", file)).code).toBe(0);
    expect(readFileSync(file, "utf8")).toContain('import { filesInfo } from "./operations.ts";');
    const from = ["--module", "../src/mine.ts", "--name", "info"];
    const named = await run("mismatches", "export", "4f2a", "--vitest", ...from);
    expect(named.stdout).toContain('import { info } from "../src/mine.ts";');
    expect(named.stdout).toContain("../src/mine.ts is to export it as info.");
    const again = await run("mismatches", "export", "4f2a", "-o", file, "--json");
    expect(errorOf(again)).toMatchObject({ code: "CLI_FILE_EXISTS" });
    const replay = await run("mismatches", "replay", "4f2a", "--json");
    expect(replay.code).toBe(4);
    expect(errorOf(replay)).toMatchObject({ code: "CLI_NOT_RUNNING" });
  });
});

describe("the simulator on the command line", () => {
  it("answers with one object for each policy and scenario", async () => {
    const words = ["--scenario", "total-failure", "--runs", "5", "--days", "0.02", "--json"];
    const ran = await run("simulate", ...words);
    expect(ran.code).toBe(0);
    const results = JSON.parse(ran.stdout) as Record<string, unknown>[];
    expect(results.map((result) => result["policy"])).toContain("changeover");
    for (const result of results) {
      expect(Object.keys(result).sort()).toEqual(
        [
          "callsPerSecond",
          "callsToTrip",
          "days",
          "falseHoldsPerDay",
          "falseTripsPerDay",
          "harmedCalls",
          "missed",
          "policy",
          "runs",
          "scenario",
          "secondsToTrip",
          "seed",
          "share",
        ].sort(),
      );
    }
  });

  it("says in a sentence what another policy changes, and draws it", async () => {
    writeFileSync(folder.in("slow.json"), JSON.stringify({ errorRate: { increase: 0.3 } }));
    const chart = folder.in("chart.svg");
    const words = ["--scenario", "partial-failure", "--candidate-error-rate", "0.5", "--no-rivals"];
    const more = ["--runs", "10", "--days", "0.02", "--share", "10", "--chart", chart];
    const ran = await run("simulate", ...words, ...more, "--diff", folder.in("slow.json"));
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stdout).toMatch(/times (slower|faster)|as fast/);
    expect(readFileSync(chart, "utf8")).toMatch(/^<svg/);
  });

  it.each([
    [["--share", "0"], 2, "CLI_USAGE"],
    [["--share", "101"], 2, "REHEARSAL_INVALID_SIMULATION"],
    [["--scenario", "nope"], 2, "REHEARSAL_UNKNOWN_SCENARIO"],
    [["--onset", "2026-01-01T00:00:00Z"], 2, "CLI_USAGE"],
    [["--operation", "list"], 2, "CLI_USAGE"],
    [["--events", "package.json", "--share", "5"], 2, "CLI_USAGE"],
    [["--policy", "no-such-file.json"], 4, "FILES_MISSING"],
    [["--diff", "no-such-file.json"], 4, "FILES_MISSING"],
    [["--events", "no-such-file.ndjson"], 4, "FILES_MISSING"],
    [["--events", "src"], 2, "FILES_NOT_A_FILE"],
    // Before the simulation of many days and not after it.
    [["--chart", "no-such-folder/chart.svg", "--days", "1000"], 2, "CLI_CANNOT_WRITE"],
    [["--chart", "src", "--days", "1000"], 2, "CLI_CANNOT_WRITE"],
  ])("refuses %j", async (words, code, error) => {
    const ran = await run("simulate", ...words, "--json");
    expect(ran.code).toBe(code);
    expect(errorOf(ran)).toMatchObject({ code: error });
  });
});
