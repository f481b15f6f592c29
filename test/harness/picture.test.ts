import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import { barChart } from "../../src/harness/picture/bar-chart.ts";
import { lineChart } from "../../src/harness/picture/line-chart.ts";
import { advantage, ratioChart } from "../../src/harness/picture/ratio-chart.ts";

const picture = { title: 'A <title> & "more"', subtitle: "s", footer: "f" };

function comparison(better: "higher" | "lower", base: number, contender: number): Comparison {
  return comparisonOf(
    {
      case: "c",
      measure: "m",
      unit: "ms",
      better,
      resolution: null,
      nodeFlags: [],
      note: "",
    },
    [
      {
        base: { name: "legacy", values: [base, base] },
        contender: { name: "streaming", values: [contender, contender] },
        first: [],
      },
    ],
    seededRandom(1),
  );
}

/** The x of all dots. */
const dots = (svg: string): number[] =>
  [...svg.matchAll(/<circle cx="([\d.]+)"/g)].map((match) => Number(match[1]));

describe("a chart of ratios", () => {
  it("draws a winner right of 1 whether more or less is better", () => {
    expect(advantage(comparison("higher", 10, 20)).value).toBeCloseTo(2);
    expect(advantage(comparison("lower", 20, 10)).value).toBeCloseTo(2);
    const [more = 0, less = 0, worse = 0] = dots(
      ratioChart(picture, [
        comparison("higher", 10, 20),
        comparison("lower", 20, 10),
        comparison("lower", 10, 20),
      ]),
    );
    expect(more).toBeCloseTo(less);
    expect(worse).toBeLessThan(more);
  });

  it("escapes its texts and gives the same bytes for the same input", () => {
    const draw = (): string => ratioChart(picture, [comparison("higher", 10, 20)]);
    expect(draw()).toContain("A &lt;title&gt; &amp; &quot;more&quot;");
    expect(draw()).toBe(draw());
  });

  it("says once what all rows have in common, and cuts a label that would leave the picture", () => {
    const one = comparison("higher", 10, 20);
    const all = ratioChart(picture, [one, { ...one, case: "d" }]);
    expect(all.match(/streaming \/ legacy/g)).toHaveLength(1);
    const long = ratioChart(picture, [one, { ...one, measure: "a".repeat(80) }]);
    expect(long).toContain(`c: ${"a".repeat(54)}…`);
  });

  it("keeps a ratio beyond its scale inside the picture", () => {
    const [x = 0] = dots(ratioChart(picture, [comparison("higher", 1, 1e6)]));
    expect(x).toBeLessThan(900);
  });
});

describe("a chart of bars", () => {
  it("draws lengths in proportion, ours in another colour", () => {
    const svg = barChart(picture, "MB", [
      { label: "ours", value: 5, low: 4, high: 6, isOurs: true, resolution: 5 },
      { label: "theirs", value: 50, low: 45, high: 55, isOurs: false, resolution: 5 },
    ]);
    const widths = [...svg.matchAll(/width="([\d.]+)" height="18" class="(\w+)"/g)];
    expect(widths.map((match) => match[2])).toEqual(["contender", "base"]);
    expect(svg).toContain(">≤ 5.0 MB<");
    expect(svg).toContain(">50.0 MB<");
    expect(Number(widths[1]?.[1]) / Number(widths[0]?.[1])).toBeCloseTo(10, 0);
  });
});

describe("a chart of lines", () => {
  it("has a point for each value, higher for more, further right for a larger x", () => {
    const points = [
      { x: 1, y: 100, low: 90, high: 110 },
      { x: 4, y: 200, low: 190, high: 210 },
    ];
    const svg = lineChart(picture, { x: "at once", y: "MB/s" }, [
      { name: "ours", isOurs: true, points },
    ]);
    const [left = 0, right = 0] = dots(svg);
    const heights = [...svg.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)"/g)].map((each) =>
      Number(each[1]),
    );
    expect(right).toBeGreaterThan(left);
    const ticks = [...svg.matchAll(/class="faint end">([^<]+)</g)].map((each) => each[1]);
    expect(ticks).toEqual(["0", "50", "100", "150", "200", "250 MB/s"]);
    expect(heights[1]).toBeLessThan(heights[0] ?? 0);
  });
});
