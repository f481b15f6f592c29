import type { Percentiles, SimulationResult } from "../result.ts";

/** How a table is drawn. */
export type TableFormat = "text" | "markdown";

const heads = [
  "scenario",
  "policy",
  "false trips/day",
  "false holds/day",
  "calls to trip",
  "seconds to trip",
  "harmed calls",
  "missed",
];
/** Columns of words; the others hold numbers and are set to the right. */
const wordColumns = 2;

/** 1234.5 as "1,235", 0.012 as "0.012". */
export function shortNumber(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 1 : 3;
  return new Intl.NumberFormat("en", { maximumFractionDigits: digits }).format(value);
}

/** Median and 95th percentile as "5 / 8"; a dash where there is none. */
function pair({ p50, p95 }: Percentiles): string {
  if (p50 === null && p95 === null) return "–";
  return [p50, p95].map((value) => (value === null ? "–" : shortNumber(value))).join(" / ");
}

/**
 * Results as a table, one line for each policy and scenario. "Median / 95th percentile" where there are
 * two numbers; a dash where nothing was to be found or too many runs were missed.
 */
export function renderTable(results: readonly SimulationResult[], format: TableFormat): string {
  const rows = results.map((result) => [
    result.scenario,
    result.policy,
    shortNumber(result.falseTripsPerDay),
    shortNumber(result.falseHoldsPerDay),
    pair(result.callsToTrip),
    pair(result.secondsToTrip),
    pair(result.harmedCalls),
    result.callsToTrip.p50 === null && result.missed === 0
      ? "–"
      : `${result.missed} of ${result.runs}`,
  ]);
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column < wordColumns ? cell.padEnd(width) : cell.padStart(width);
      })
      .join(format === "markdown" ? " | " : "  ");
  if (format === "text") return [heads, ...rows].map((row) => line(row).trimEnd()).join("\n");
  const rule = widths.map((width, column) =>
    column < wordColumns ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [heads, rule, ...rows].map((row) => `| ${line(row)} |`).join("\n");
}

/** What was simulated, in one line: so that a table can be made again. */
export function describeRun(results: readonly SimulationResult[]): string {
  const [first] = results;
  if (first === undefined) return "Nothing was simulated.";
  const { share, callsPerSecond, days, runs, seed } = first;
  return `${shortNumber(share)} % of ${shortNumber(callsPerSecond)} calls/s on the candidate; false trips and holds over ${shortNumber(days)} days, delays over ${runs} ${runs === 1 ? "onset" : "onsets"} (median / 95th percentile); seed ${seed}.`;
}
