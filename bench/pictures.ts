import type { Comparison } from "../src/harness/measurement.ts";
import { type Bar, barChart } from "../src/harness/picture/bar-chart.ts";
import { type Line, lineChart } from "../src/harness/picture/line-chart.ts";
import { ratioChart } from "../src/harness/picture/ratio-chart.ts";
import type { BenchmarkReport } from "../src/harness/report.ts";

/** One picture of a report. */
export interface ReportPicture {
  /** Of the file, without a folder. */
  readonly name: string;
  readonly svg: string;
}

/** Every picture for which the report has something to draw. The same report gives the same bytes. */
export function picturesOf(report: BenchmarkReport): ReportPicture[] {
  const { machine, startedAt, quick } = report;
  const load = machine.loadBefore[0].toFixed(2);
  const footer = `${startedAt.slice(0, 10)}, Node ${machine.node}, ${machine.cores} cores, load ${load} before${quick ? "; quick run, decides nothing" : ""}`;
  return [
    paths(report, footer),
    peers(report, footer),
    memory(report, footer),
    crowds(report, footer),
  ].filter((each) => each !== null);
}

const subtitle = "times better, with 95 % interval; right of 1× the first named wins";

function paths({ comparisons }: BenchmarkReport, footer: string): ReportPicture | null {
  const shown = comparisons.filter(
    ({ baseName, contenderName }) => baseName === "legacy" && contenderName === "streaming",
  );
  if (shown.length === 0) return null;
  const title = "The streaming path against legacy";
  return { name: "paths.svg", svg: ratioChart({ title, subtitle, footer }, shown) };
}

function peers({ comparisons }: BenchmarkReport, footer: string): ReportPicture | null {
  const shown = comparisons.filter(
    ({ case: name, measure }) => name.startsWith("peers-") && measure === "throughput",
  );
  if (shown.length === 0) return null;
  const title = "Throughput of one file against peers and limits";
  return { name: "peers.svg", svg: ratioChart({ title, subtitle, footer }, shown) };
}

function memory({ comparisons }: BenchmarkReport, footer: string): ReportPicture | null {
  const measure = "memory over idle, small heap";
  const largest = comparisons.findLast(
    (each) => each.case.startsWith("peers-") && each.measure === measure,
  )?.case;
  const shown = comparisons.filter((each) => each.case === largest && each.measure === measure);
  const [one] = shown;
  if (one === undefined) return null;
  const bars = new Map<string, Bar>();
  for (const each of shown) {
    for (const side of ["contender", "base"] as const) {
      const bar = barOf(each, side);
      bars.set(bar.label, bar);
    }
  }
  const picture = {
    title: `Memory over idle of one upload, ${largest}`,
    subtitle: `median and range of fresh processes, ${one.nodeFlags.join(" ")}`,
    footer,
  };
  const sorted = [...bars.values()].sort((a, b) => a.value - b.value);
  return { name: "memory.svg", svg: barChart(picture, "MB", sorted) };
}

function barOf(comparison: Comparison, side: "base" | "contender"): Bar {
  const values = comparison.raw.flatMap((launch) => launch[side].values);
  return {
    label: side === "base" ? comparison.baseName : comparison.contenderName,
    value: comparison[side],
    low: Math.min(...values),
    high: Math.max(...values),
    isOurs: side === "contender",
    resolution: comparison.resolution,
  };
}

function crowds({ comparisons }: BenchmarkReport, footer: string): ReportPicture | null {
  const shown = comparisons.flatMap((each) => {
    const atOnce = /^crowd-(\d+)x5mb$/.exec(each.case)?.[1];
    return atOnce === undefined || each.measure !== "throughput"
      ? []
      : [{ each, x: Number(atOnce) }];
  });
  const [one] = shown;
  if (one === undefined || shown.length < 2) return null;
  const lines = (["contender", "base"] as const).map((side): Line => {
    const points = shown.map(({ each, x }) => {
      const { value, low, high } = barOf(each, side);
      return { x, y: value, low, high };
    });
    const name = side === "base" ? one.each.baseName : one.each.contenderName;
    return { name, isOurs: side === "contender", points };
  });
  const picture = {
    title: "Throughput against concurrency: uploads of 5 MB at once",
    subtitle: "median and range of fresh processes; both hash while they send",
    footer,
  };
  const axes = { x: "uploads at once", y: "MB/s" };
  return { name: "concurrency.svg", svg: lineChart(picture, axes, lines) };
}
