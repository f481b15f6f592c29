import type { Load, MachineFacts } from "./machine.ts";
import type { CaseDistribution, Comparison } from "./measurement.ts";
import type { Interval } from "./statistics.ts";
import type { TargetResult } from "./target.ts";

/** A case that could not be measured. */
export interface CaseFailure {
  readonly case: string;
  readonly code: string;
  readonly message: string;
}

/** One run of the benchmark: everything that any of its renderings shows. */
export interface BenchmarkReport {
  /** Grows when a field changes its meaning or goes away; new fields leave it as it is. */
  readonly schemaVersion: 1;
  readonly product: "changeover";
  /** ISO 8601. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Few samples: good to see that everything runs, not to decide anything. */
  readonly quick: boolean;
  /** Seed of the order within pairs and of the bootstrap. */
  readonly seed: number;
  readonly machine: MachineFacts;
  readonly comparisons: readonly Comparison[];
  readonly distributions: readonly CaseDistribution[];
  /** What the cases set themselves, and whether it was reached. Decides nothing. */
  readonly targets?: readonly TargetResult[];
  readonly failures: readonly CaseFailure[];
}

type Row = readonly string[];

interface Table {
  readonly head: Row;
  readonly rows: readonly Row[];
}

const legend =
  "ratio = contender / base; the interval is a bootstrap 95 % interval over launches and pairs; difference = contender - base. 1 MB = 1,000,000 bytes.";
const clockNote = "Time of single calls in ns, with the cost of reading the clock inside.";
const targetNote =
  "Targets: pass when the whole 95 % interval is at or below the limit, fail when all of it is above.";
const quickNote =
  "Quick run: few samples, good to see that everything runs, not to decide anything.";

/** The report for a terminal: plain text, columns aligned by spaces, ends with a line break. */
export function renderText(report: BenchmarkReport): string {
  const parts = [...(report.quick ? [quickNote] : [])];
  if (report.comparisons.length > 0) {
    parts.push(textTable(comparisonTable(report.comparisons)), legend);
  }
  if (report.distributions.length > 0) {
    parts.push(clockNote, textTable(distributionTable(report.distributions)));
  }
  const { targets = [] } = report;
  if (targets.length > 0) parts.push(targetNote, textTable(targetTable(targets)));
  parts.push(...report.failures.map(failureLine), machineLine(report.machine));
  return `${parts.join("\n\n")}\n`;
}

/** The report as Markdown, ends with a line break. */
export function renderMarkdown(report: BenchmarkReport): string {
  const parts = [`# Benchmark of ${report.startedAt}`, ...(report.quick ? [quickNote] : [])];
  if (report.comparisons.length > 0) {
    parts.push(markdownTable(comparisonTable(report.comparisons)), legend);
    parts.push(...noteLines(report.comparisons));
  }
  if (report.distributions.length > 0) {
    parts.push("## Distribution", clockNote);
    parts.push(markdownTable(distributionTable(report.distributions)));
  }
  const { targets = [] } = report;
  if (targets.length > 0) {
    parts.push("## Targets", targetNote, markdownTable(targetTable(targets)));
  }
  if (report.failures.length > 0) {
    parts.push(
      "## Not measured",
      report.failures.map((each) => `- ${failureLine(each)}`).join("\n"),
    );
  }
  parts.push("## Machine", machineLine(report.machine));
  return `${parts.join("\n\n")}\n`;
}

/** The report as JSON with every raw value, ends with a line break. */
export function renderJson(report: BenchmarkReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

function comparisonTable(comparisons: readonly Comparison[]): Table {
  return {
    head: [
      "case",
      "measure",
      "base",
      "contender",
      "ratio",
      "95 % interval",
      "difference",
      "pairs",
      "reading",
    ],
    rows: comparisons.map((each) => [
      each.case,
      `${each.measure}, ${each.unit}`,
      `${each.baseName} ${formatSeen(each.base, each)}`,
      `${each.contenderName} ${formatSeen(each.contender, each)}`,
      formatRatio(each.ratio),
      formatInterval(each.ratioCi95),
      `${each.difference < 0 ? "-" : "+"}${formatValue(Math.abs(each.difference))}`,
      each.launches === 1 ? `${each.pairs}` : `${each.pairs} in ${each.launches}`,
      each.reading,
    ]),
  };
}

function distributionTable(distributions: readonly CaseDistribution[]): Table {
  return {
    head: ["case", "call", "p50", "p95", "p99", "p99.9", "max", "calls"],
    rows: distributions.map((each) => [
      each.case,
      each.name,
      ...[each.p50Ns, each.p95Ns, each.p99Ns, each.p999Ns, each.maxNs].map(formatValue),
      formatValue(each.calls),
    ]),
  };
}

function targetTable(targets: readonly TargetResult[]): Table {
  const format = (unit: string, value: number): string =>
    unit === "x" ? formatRatio(value) : formatValue(value);
  return {
    head: ["case", "target", "at most", "measured", "95 % interval", "verdict"],
    rows: targets.map(({ case: name, measure, unit, limit, value, ci95, verdict }) => [
      name,
      `${measure}, ${unit}`,
      `${limit}`,
      format(unit, value),
      `${format(unit, ci95.low)} to ${format(unit, ci95.high)}`,
      verdict,
    ]),
  };
}

function formatSeen(value: number, { resolution }: Comparison): string {
  const hidden = resolution !== null && value <= resolution;
  return `${hidden ? "<= " : ""}${formatValue(value)}`;
}

/** Three significant digits at least, thousands apart by commas: 1,234, 61.2, 4.35, 0.069. */
export function formatValue(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A ratio to two decimals, small and close ones to three. */
function formatRatio(ratio: number): string {
  return ratio < 1.2 ? ratio.toFixed(3) : ratio.toFixed(2);
}

function formatInterval({ low, high }: Interval): string {
  return `${formatRatio(low)} to ${formatRatio(high)}`;
}

function noteLines(comparisons: readonly Comparison[]): string[] {
  const notes = comparisons.map(({ case: name, note, nodeFlags }) => {
    const flags = nodeFlags.length === 0 ? "" : `Node flags \`${nodeFlags.join(" ")}\``;
    const text = [note, flags].filter((part) => part !== "").join("; ");
    return text === "" ? "" : `- ${name}: ${text}`;
  });
  const lines = [...new Set(notes)].filter((line) => line !== "");
  return lines.length === 0 ? [] : [lines.join("\n")];
}

function failureLine({ case: name, code, message }: CaseFailure): string {
  return `${name} was not measured: ${code === "" ? "" : `${code}: `}${message}`;
}

function machineLine(machine: MachineFacts): string {
  const { node, v8, platform, kernel, arch, cpu, cores, memoryBytes } = machine;
  const gigabytes = (memoryBytes / 1e9).toFixed(1);
  return `Node ${node}, V8 ${v8}, ${platform} ${kernel} ${arch}, ${cores} x ${cpu}, ${gigabytes} GB; load ${loadText(machine.loadBefore)} before, ${loadText(machine.loadAfter)} after (1, 5, 15 minutes).`;
}

function loadText(load: Load): string {
  return load.map((value) => value.toFixed(2)).join(" ");
}

function textTable({ head, rows }: Table): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: Row): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

function markdownTable({ head, rows }: Table): string {
  const line = (row: Row): string => `| ${row.map(escapeCell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function escapeCell(cell: string): string {
  return cell.replaceAll("|", "\\|").replaceAll("\n", " ");
}
