import type { SimulationResult } from "../result.ts";
import { describeRun, shortNumber } from "./table.ts";

const width = 960;
const labelWidth = 250;
const plotWidth = width - labelWidth - 90;
const rowHeight = 18;
const groupGap = 14;
const headHeight = 92;
const panelGap = 60;
/** One colour for each policy, ours first; told apart by people who see few colours (Okabe and Ito, 2008). */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#666666"];

interface Bar {
  readonly group: string;
  readonly policy: string;
  /** Null: never found. */
  readonly value: number | null;
  /** A thin line on to here; null: none. */
  readonly reach: number | null;
  readonly label: string;
}

/**
 * Results as an SVG document with two panels: candidate calls to trip (bar: median, line: 95th
 * percentile) and false trips a day, both on logarithmic scales. A pure string: needs no browser.
 */
export function renderChart(results: readonly SimulationResult[]): string {
  const policies = [...new Set(results.map(({ policy }) => policy))];
  const delays = delayBars(results);
  const noise = noiseBars(results);
  const top = headHeight + rowHeight;
  const first = panel("Candidate calls to the rollback", delays, policies, top);
  const second = panel(
    "False trips a day (nothing drawn: none)",
    noise,
    policies,
    top + first.height + panelGap,
  );
  const height = top + first.height + panelGap + second.height + 24;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Simulated rollback policies">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="16" y="26" font-size="16" font-weight="600">How fast and how calm each policy is</text>`,
    `<text x="16" y="46" fill="#555555">${escaped(describeRun(results))}</text>`,
    ...legend(policies),
    first.svg,
    second.svg,
    "</svg>",
    "",
  ].join("\n");
}

function delayBars(results: readonly SimulationResult[]): readonly Bar[] {
  const found = results.filter(({ callsToTrip, missed }) => callsToTrip.p50 !== null || missed > 0);
  return found.map(({ scenario, policy, callsToTrip, missed, runs }) => ({
    group: scenario,
    policy,
    value: callsToTrip.p50,
    reach: callsToTrip.p95,
    label:
      callsToTrip.p50 === null
        ? `missed ${missed} of ${runs}`
        : `${shortNumber(callsToTrip.p50)}${missed > 0 ? `, missed ${missed} of ${runs}` : ""}`,
  }));
}

function noiseBars(results: readonly SimulationResult[]): readonly Bar[] {
  return results.map(({ scenario, policy, falseTripsPerDay }) => ({
    group: scenario,
    policy,
    value: falseTripsPerDay === 0 ? null : falseTripsPerDay,
    reach: null,
    label: shortNumber(falseTripsPerDay),
  }));
}

function legend(policies: readonly string[]): readonly string[] {
  return policies.map((policy, index) => {
    const x = 16 + index * 150;
    return `<rect x="${x}" y="60" width="12" height="12" fill="${colourOf(policy, policies)}"/><text x="${x + 18}" y="70">${escaped(policy)}</text>`;
  });
}

function panel(
  title: string,
  bars: readonly Bar[],
  policies: readonly string[],
  top: number,
): { readonly svg: string; readonly height: number } {
  const scale = scaleOf(bars.flatMap(({ value, reach }) => [value, reach]));
  const parts = [
    `<text x="16" y="${top - 8}" font-size="14" font-weight="600">${escaped(title)}</text>`,
  ];
  let y = top;
  let group = "";
  for (const bar of bars) {
    if (bar.group !== group) {
      y += group === "" ? 0 : groupGap;
      group = bar.group;
      parts.push(`<text x="16" y="${y + 13}">${escaped(group)}</text>`);
    }
    parts.push(drawBar(bar, colourOf(bar.policy, policies), scale, y));
    y += rowHeight;
  }
  const bottom = y + 4;
  // Before the bars, so that these lie over them.
  const grid = scale.ticks.map((tick) => {
    const x = Math.round(labelWidth + scale.at(tick));
    return [
      `<line x1="${x}" y1="${top}" x2="${x}" y2="${bottom}" stroke="#dddddd"/>`,
      `<text x="${x}" y="${bottom + 14}" text-anchor="middle" fill="#555555">${shortNumber(tick)}</text>`,
    ].join("\n");
  });
  return { svg: [...grid, ...parts].join("\n"), height: bottom + 20 - top };
}

function drawBar(bar: Bar, colour: string, scale: Scale, y: number): string {
  const { value, reach, label, policy } = bar;
  const length = value === null ? 0 : Math.max(2, Math.round(scale.at(value)));
  const end = reach === null ? length : Math.max(length, Math.round(scale.at(reach)));
  const line =
    end > length
      ? `<line x1="${labelWidth + length}" y1="${y + 8}" x2="${labelWidth + end}" y2="${y + 8}" stroke="${colour}" stroke-width="2"/>`
      : "";
  return [
    `<g><title>${escaped(`${bar.group}, ${policy}: ${label}`)}</title>`,
    `<rect x="${labelWidth}" y="${y + 2}" width="${length}" height="${rowHeight - 6}" fill="${colour}"/>`,
    line,
    `<text x="${labelWidth + end + 6}" y="${y + 12}" font-size="11" fill="#333333">${escaped(label)}</text></g>`,
  ].join("");
}

interface Scale {
  /** Pixels from the axis. */
  at(value: number): number;
  readonly ticks: readonly number[];
}

/** Powers of ten around the values. */
function scaleOf(values: readonly (number | null)[]): Scale {
  const known = values.filter((value) => value !== null && value > 0) as number[];
  const low = Math.floor(Math.log10(Math.min(1, ...known)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(10, ...known))));
  const step = (plotWidth - 80) / (high - low);
  return {
    at: (value) => (Math.log10(value) - low) * step,
    ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
  };
}

const colourOf = (policy: string, policies: readonly string[]): string =>
  colours[policies.indexOf(policy) % colours.length] ?? "#666666";

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
