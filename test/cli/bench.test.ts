import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { describe, expect, it, vi } from "vitest";
import { eachTestFolder } from "../support/test-folder.ts";
import { changeover } from "./command-line.ts";

vi.setConfig({ testTimeout: 60_000 });

const folder = eachTestFolder();

const bench = (module: string, ...words: string[]) =>
  changeover(["bench", "--module", `test/harness/fixtures/${module}.ts`, "--quick", ...words]);

describe("changeover bench", () => {
  it("measures a module's operation and writes the report where it is told to", async () => {
    const { code, stdout } = await bench("sums", "--json", "--out", folder.in("out"));
    expect(code).toBe(0);
    const answer = JSON.parse(stdout) as {
      ok: boolean;
      report: { schemaVersion: number; comparisons: { measure: string }[] };
    };
    expect(answer.ok).toBe(true);
    expect(answer.report.schemaVersion).toBe(1);
    expect(answer.report.comparisons[0]?.measure).toBe("time per call");
    expect(readdirSync(folder.in("out")).sort()).toEqual([
      "report.json",
      "report.md",
      "report.svg",
    ]);
  });

  it("fails when the paths answer differently, naming the inputs", async () => {
    const { code, stdout } = await bench("streams");
    expect(code).toBe(1);
    expect(stdout).toContain("The paths answer differently to inputs 2 (from 0).");
  });

  it("fails when the candidate is certainly slower than it may be", async () => {
    const { code, stdout } = await bench("sums", "--max-ratio", "0.000001");
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /The candidate takes [\d.]+ times as long as legacy, more than 0\.000001/,
    );
  });

  it("says what is wrong with a module, and writes nothing", async () => {
    const { code, stderr } = await bench("pathless", "--out", folder.in("out"));
    expect(code).toBe(2);
    expect(stderr).toContain("HARNESS_MODULE_INVALID");
    expect(stderr).toContain("`candidate` must be a function");
    expect(existsSync(folder.in("out"))).toBe(false);
    expect((await changeover(["bench"])).code).toBe(2);
  });

  it("refuses a file as its folder before it measures anything", async () => {
    await writeFile(folder.in("taken"), "");
    const { code, stdout, stderr } = await bench("sums", "--out", folder.in("taken"));
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/--out takes a folder, and ".*taken" is a file/);
    expect(stderr).not.toContain("launch");
  });
});
