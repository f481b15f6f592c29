import { readdir, readFile, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { saveReport } from "../../bench/results.ts";
import type { BenchmarkReport } from "../../src/harness/report.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import { report } from "./report-fixture.ts";

const folder = eachTestFolder();

describe("the results", () => {
  it("are JSON, Markdown and pictures of one report, none of them left from an earlier one", async () => {
    await writeFile(folder.in("gate.json"), "{}");
    await saveReport(report, "latest", folder.path);
    expect((await readdir(folder.path)).sort()).toEqual([
      "gate.json",
      "latest-concurrency.svg",
      "latest-memory.svg",
      "latest-paths.svg",
      "latest-peers.svg",
      "latest.json",
      "latest.md",
    ]);
    const isUpload = (each: { readonly case: string }): boolean => each.case === "upload-50mb";
    const comparisons = report.comparisons.filter(isUpload);
    await saveReport({ ...report, comparisons }, "latest", folder.path);
    expect((await readdir(folder.path)).sort()).toEqual([
      "gate.json",
      "latest-paths.svg",
      "latest.json",
      "latest.md",
    ]);
    const json = await readFile(folder.in("latest.json"), "utf8");
    expect((JSON.parse(json) as BenchmarkReport).comparisons).toEqual(comparisons);
    expect(await readFile(folder.in("latest.md"), "utf8")).toContain("](latest-paths.svg)");
  });

  it("of a reference are in a folder of their own, which loses old pictures too", async () => {
    await saveReport(report, "reference", folder.path);
    await saveReport({ ...report, comparisons: [] }, "reference", folder.path);
    expect((await readdir(folder.in("reference"))).sort()).toEqual(["report.json", "report.md"]);
  });
});
