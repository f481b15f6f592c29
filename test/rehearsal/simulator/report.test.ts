import { describe, expect, it } from "vitest";
import { renderChart } from "../../../src/rehearsal/simulator/report/chart.ts";
import { describeDifference } from "../../../src/rehearsal/simulator/report/difference.ts";
import { renderTable } from "../../../src/rehearsal/simulator/report/table.ts";
import { percentile, type SimulationResult } from "../../../src/rehearsal/simulator/result.ts";
import {
  runSimulation,
  type SimulationIo,
} from "../../../src/rehearsal/simulator/run-simulation.ts";

const result = (changes: Partial<SimulationResult> = {}): SimulationResult => ({
  policy: "changeover",
  scenario: "total-failure",
  share: 1,
  callsPerSecond: 100,
  days: 1,
  runs: 100,
  seed: 1,
  falseTripsPerDay: 0,
  falseHoldsPerDay: 0,
  callsToTrip: { p50: 5, p95: 8 },
  secondsToTrip: { p50: 4.5, p95: 9.5 },
  harmedCalls: { p50: 5, p95: 8 },
  missed: 0,
  ...changes,
});

/** A world in which files are entries of an object. */
function world(files: Record<string, string> = {}): SimulationIo & { printed: string[] } {
  const printed: string[] = [];
  return {
    printed,
    readText: (file) => Promise.resolve(files[file] ?? ""),
    async *readLines(file) {
      for (const line of (files[file] ?? "").split("\n")) yield line;
    },
    writeText: (file, text) => {
      files[file] = text;
      return Promise.resolve();
    },
    print: (text) => printed.push(text),
  };
}

describe("percentiles", () => {
  it("are the nearest rank, with missed runs as the largest", () => {
    const ten = [10, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    expect(percentile(ten, 0.5)).toBe(5);
    expect(percentile(ten, 0.95)).toBe(10);
    expect(percentile([1, 2, null], 0.5)).toBe(2);
    expect(percentile([1, 2, null], 0.95)).toBeNull();
    expect(percentile([], 0.5)).toBeNull();
  });
});

describe("the table", () => {
  it("has a line for each result, and a dash where nothing was to be found", () => {
    const none = { p50: null, p95: null };
    const calm = { callsToTrip: none, secondsToTrip: none, harmedCalls: none };
    const text = renderTable(
      [result({ missed: 3 }), result({ scenario: "healthy", ...calm })],
      "markdown",
    );
    const lines = text.split("\n");
    expect(lines).toHaveLength(4);
    expect(lines[2]).toMatch(/total-failure .* 5 \/ 8 .* 3 of 100 \|$/);
    expect(lines[3]).toMatch(/healthy .* – \| +– \| +– \| +– \|$/);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  });
});

describe("the chart", () => {
  it("is one well-formed SVG with a bar for each policy, and names who missed", () => {
    const missed = result({
      policy: "<naive> & co",
      callsToTrip: { p50: null, p95: null },
      missed: 100,
      falseTripsPerDay: 14.2,
    });
    const svg = renderChart([result(), missed]);
    expect(svg).toMatch(/^<svg [^>]*>[\s\S]*<\/svg>\n$/);
    expect(svg).not.toMatch(/NaN|Infinity|undefined|<naive>/);
    expect(svg).toContain("missed 100 of 100");
    expect(svg).toContain("14.2");
    // The bars lie over the grid.
    expect(svg.indexOf('stroke="#dddddd"')).toBeLessThan(svg.indexOf("<g><title>"));
    const opened = svg.match(/<(g|svg|text|title)[ >]/g)?.length;
    expect(svg.match(/<\/(g|svg|text|title)>/g)?.length).toBe(opened);
  });
});

describe("the difference between two policies", () => {
  it("says in a sentence how much slower and how much noisier the other one is", () => {
    const slow = result({
      policy: "other",
      callsToTrip: { p50: 20, p95: 40 },
      falseTripsPerDay: 2,
    });
    const [headline, detail] = describeDifference([result()], [slow]);
    expect(headline).toBe(
      "This change makes the guard 4 times slower at 1 % (total-failure), and rolls back for no reason 2 times a day more.",
    );
    expect(detail).toBe(
      "total-failure: 4 times slower (5 → 20 candidate calls at the median); noisier: 0 → 2 false trips a day.",
    );
  });

  it("says so when it is faster, when it misses, and when nothing changes", () => {
    const fast = result({ callsToTrip: { p50: 2, p95: 4 } });
    expect(describeDifference([result()], [fast])[0]).toContain("2.5 times faster");
    const blind = result({ callsToTrip: { p50: null, p95: null }, missed: 100 });
    expect(describeDifference([result()], [blind])[0]).toContain("miss 100 more");
    expect(describeDifference([result()], [result()])[0]).toContain("as fast as it was at 1 %");
    expect(describeDifference([result()], [])).toEqual([
      "There is nothing that both were tried in.",
    ]);
  });
});

describe("runSimulation", () => {
  const small = { scenarios: ["total-failure"], days: 0.01, runs: 5 };

  it("compares two policy files, prints the table and writes the chart", async () => {
    const files: Record<string, string> = {
      "mine.json": "{}",
      "dull.json": JSON.stringify({ engine: { threshold: 40 } }),
    };
    const io = world(files);
    const request = {
      ...small,
      policyFile: "mine.json",
      diffFile: "dull.json",
      chartFile: "c.svg",
    };
    const results = await runSimulation(request, io);
    expect(results.map(({ policy }) => policy).slice(0, 2)).toEqual(["changeover", "other"]);
    expect(io.printed.join("\n")).toMatch(/times slower at 1 %/);
    expect(files["c.svg"]).toContain("<svg");
  });

  it("prints JSON that is the results, and nothing else", async () => {
    const io = world();
    const results = await runSimulation({ ...small, format: "json" }, io);
    expect(JSON.parse(io.printed.join(""))).toEqual(results);
  });

  it.each([
    [{ policyFile: "broken.json" }, "REHEARSAL_INVALID_POLICY"],
    [{ policyFile: "wrong.json" }, "GUARD_INVALID_POLICY"],
    [{ eventsFile: "broken.json" }, "REHEARSAL_INVALID_EVENTS"],
    [{ eventsFile: "broken.json", onset: "yesterday" }, "REHEARSAL_INVALID_SIMULATION"],
  ])("refuses %j", async (request, code) => {
    const io = world({ "broken.json": "{", "wrong.json": '{"errorRat": {}}' });
    await expect(runSimulation({ ...small, ...request }, io)).rejects.toMatchObject({ code });
  });
});
