import { describe, expect, it } from "vitest";
import { trafficChart } from "../../../src/app/report/traffic-chart.ts";

const at = (second: number): string => new Date(second * 1000).toISOString();

describe("the chart of a report's traffic", () => {
  it("draws who answered over time, each line with its name", () => {
    const chart = trafficChart([
      { at: at(0), legacy: 200, candidate: 0, fellBack: 0 },
      { at: at(10), legacy: 100, candidate: 100, fellBack: 0 },
    ]);
    expect(chart).toContain('class="legacy" stroke-dasharray="6 4" d="M48 28L944 110"');
    expect(chart).toContain('class="candidate" stroke-dasharray="" d="M48 192L944 110"');
    for (const name of ["answered by legacy", "answered by the candidate", "200/s", "100/s"]) {
      expect(chart).toContain(name);
    }
  });

  it("is left out where there is nothing to draw", () => {
    expect(trafficChart([])).toBe("");
    expect(trafficChart([{ at: at(0), legacy: 1, candidate: 0, fellBack: 0 }])).toBe("");
  });
});
