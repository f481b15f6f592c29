import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { picturesOf } from "../../bench/pictures.ts";
import { resultsFolder } from "../../bench/results.ts";
import { type BenchmarkReport, renderMarkdown } from "../../src/harness/report.ts";
import { report } from "./report-fixture.ts";

const reference = join(resultsFolder, "reference");
const read = (name: string): string => readFileSync(join(reference, name), "utf8");

describe("the pictures of a report", () => {
  it("show paths, peers, memory and concurrency where these were measured", () => {
    expect(picturesOf(report).map(({ name }) => name)).toEqual([
      "paths.svg",
      "peers.svg",
      "memory.svg",
      "concurrency.svg",
    ]);
    expect(picturesOf({ ...report, comparisons: [] })).toEqual([]);
  });

  it("are the same when the report comes back from its JSON", () => {
    const parsed = JSON.parse(JSON.stringify(report)) as BenchmarkReport;
    expect(picturesOf(parsed)).toEqual(picturesOf(report));
  });
});

describe.runIf(existsSync(join(reference, "report.json")))("the committed reference run", () => {
  it("has exactly the pictures that its JSON gives, byte for byte", () => {
    const parsed = JSON.parse(read("report.json")) as BenchmarkReport;
    const pictures = picturesOf(parsed);
    const committed = readdirSync(reference).filter((name) => name.endsWith(".svg"));
    expect(committed.sort()).toEqual(pictures.map(({ name }) => name).sort());
    for (const { name, svg } of pictures) expect(read(name), name).toBe(svg);
  });

  it("has the Markdown that its JSON gives, and is no quick run", () => {
    const parsed = JSON.parse(read("report.json")) as BenchmarkReport;
    expect(read("report.md").startsWith(renderMarkdown(parsed))).toBe(true);
    expect(parsed.quick).toBe(false);
    expect(parsed.targets.length).toBeGreaterThan(30);
  });
});
