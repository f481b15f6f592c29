import type { Load, MachineFacts } from "./machine.ts";
import type { CaseDistribution, Comparison, Figure } from "./measurement.ts";
import type { Interval } from "./statistics.ts";
import type { TargetResult } from "./target.ts";

/** A case that could not be measured. */
export interface CaseFailure {
  readonly case: string;
  readonly code: string;
  readonly message: string;
}

/** A case for which the machine or the time was too short. */
export interface SkippedCase {
  readonly case: string;
  readonly reason: string;
}

/** How long a case took, in seconds. */
export interface CaseDuration {
  readonly case: string;
  readonly seconds: number;
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
  /** How much was asked for: `quick`, `default`, `full`, or whatever the writer calls its own. */
  readonly tier: string;
  /** Seed of the order within pairs and of the bootstrap. */
  readonly seed: number;
  readonly machine: MachineFacts;
  readonly comparisons: readonly Comparison[];
  readonly distributions: readonly CaseDistribution[];
  /** Single values that are no comparison. */
  readonly figures: readonly Figure[];
  /** Whether what was promised was reached. Decides nothing. */
  readonly targets: readonly TargetResult[];
  readonly failures: readonly CaseFailure[];
  readonly skipped: readonly SkippedCase[];
  readonly durations: readonly CaseDuration[];
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
  "Targets: pass when the whole 95 % interval is on the right side of the limit, fail when all of it is on the wrong one, inconclusive otherwise and where nothing was measured.";
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
  if (report.figures.length > 0) parts.push(textTable(figureTable(report.figures)));
  // What was not measured is in the other renderings: in a terminal it would hide the rest.
  const targets = report.targets.filter(({ value }) => value !== null);
  const missing = report.targets.length - targets.length;
  if (targets.length > 0) {
    parts.push(targetNote, textTable(targetTable(targets, false)));
    const reasons = targets.filter(({ verdict, why }) => verdict === "fail" && why !== "");
    parts.push(...reasons.map(({ id, why }) => `${id}: ${why}`), verdictCounts(targets));
  }
  if (missing > 0) parts.push(`${missing} more targets were not measured and are inconclusive.`);
  parts.push(...report.failures.map(failureLine));
  if (report.skipped.length > 0) parts.push(report.skipped.map(skippedLine).join("\n"));
  parts.push(machineLine(report.machine));
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
  if (report.figures.length > 0) {
    parts.push("## Figures", markdownTable(figureTable(report.figures)));
  }
  if (report.targets.length > 0) {
    parts.push("## Targets", targetNote, markdownTable(targetTable(report.targets, true)));
  }
  const missing = [...report.failures.map(failureLine), ...report.skipped.map(skippedLine)];
  if (missing.length > 0) {
    parts.push("## Not measured", missing.map((line) => `- ${line}`).join("\n"));
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

function figureTable(figures: readonly Figure[]): Table {
  return {
    head: ["case", "figure", "value", "95 % interval"],
    rows: figures.map(({ case: name, measure, unit, value, ci95 }) => [
      name,
      `${measure}, ${unit}`,
      formatValue(value),
      `${formatValue(ci95.low)} to ${formatValue(ci95.high)}`,
    ]),
  };
}

function verdictCounts(targets: readonly TargetResult[]): string {
  const verdicts = ["pass", "fail", "inconclusive"] as const;
  const counts = verdicts.map(
    (verdict) => `${targets.filter((each) => each.verdict === verdict).length} ${verdict}`,
  );
  return `Of ${targets.length} targets that were measured: ${counts.join(", ")}.`;
}

/** What stands in the way of a target takes lines: in a terminal it would tear the table apart. */
function targetTable(targets: readonly TargetResult[], withObstacles: boolean): Table {
  const format = (unit: string, value: number | undefined): string => {
    if (value === undefined) return "–";
    return unit === "x" ? formatRatio(value) : formatValue(value);
  };
  return {
    head: ["target", "promise", "limit", "measured", "95 % interval", "verdict"],
    rows: targets.map((each) => [
      each.id,
      each.text,
      `${each.bound.replace("-", " ")} ${each.limit} ${each.unit}`,
      format(each.unit, each.value ?? undefined),
      each.ci95 === null
        ? "–"
        : `${format(each.unit, each.ci95.low)} to ${format(each.unit, each.ci95.high)}`,
      each.why === "" || (each.verdict === "fail" && !withObstacles)
        ? each.verdict
        : `${each.verdict}: ${each.why}`,
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

function skippedLine({ case: name, reason }: SkippedCase): string {
  return `${name} was skipped: ${reason}`;
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
