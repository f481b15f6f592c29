import { escaped } from "./escaped.ts";
import type { Report, SharePoint } from "./report.ts";
import { periodOf, sectionsOf } from "./sections.ts";
import { trafficChart } from "./traffic-chart.ts";

const style = `:root{color-scheme:light dark;--line:#8884;--bar:#0072b2;--other:#b35900;--bad:#a3007d}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600}th,td:first-child{white-space:nowrap}svg{width:100%;height:auto}
svg text{font-size:12px;fill:currentColor}svg path{fill:none;stroke:var(--bar);stroke-width:2}svg line{stroke:var(--line)}
svg path.legacy{stroke:var(--other)}svg path.fellBack{stroke:var(--bad)}`;

/**
 * The report as one HTML page that needs nothing else: no script, no address, no font. Its own policy
 * forbids all of them, and everything from outside is escaped.
 */
export function reportHtml(report: Report): string {
  const { operation, at, state, shares, traffic } = report;
  const parts = sectionsOf(report).map(({ title, table, otherwise }) => {
    const head = table.head.map((cell) => `<th scope="col">${escaped(cell)}</th>`).join("");
    const rows = table.rows.map(
      (cells) => `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`,
    );
    const body =
      rows.length === 0
        ? `<p>${escaped(otherwise)}</p>`
        : `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${rows.join("\n")}\n</tbody></table></div>`;
    return `<h2>${escaped(title)}</h2>\n${body}`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Rollout report: ${escaped(operation)}</title><style>${style}</style></head><body>
<h1>Rollout report: ${escaped(operation)}</h1>
<p>${escaped(periodOf(report))}</p>
<p><strong>Now:</strong> ${escaped(state)}</p>
${shareChart(shares, at)}
${trafficChart(traffic)}
${parts.join("\n")}
</body></html>
`;
}

const width = 960;
const height = 200;
const left = 48;
const right = 16;
const top = 12;
const bottom = 28;

/** The share over time, as steps; empty where there is nothing to draw. */
export function shareChart(shares: readonly SharePoint[], end: string): string {
  const [first] = shares;
  if (first === undefined) return "";
  const fromMs = Date.parse(first.at);
  const spanMs = Math.max(1, Date.parse(end) - fromMs);
  const x = (at: string): number =>
    round(left + ((width - left - right) * (Date.parse(at) - fromMs)) / spanMs);
  const y = (percentage: number): number =>
    round(top + (height - top - bottom) * (1 - percentage / 100));
  const steps = shares.map(({ at, percentage }, index) =>
    index === 0 ? `M${x(at)} ${y(percentage)}` : `H${x(at)}V${y(percentage)}`,
  );
  const grid = [0, 50, 100].map(
    (share) =>
      `<line x1="${left}" x2="${width - right}" y1="${y(share)}" y2="${y(share)}"/><text x="4" y="${y(share) + 4}">${share} %</text>`,
  );
  const label = `Share of the candidate from ${first.at} to ${end}`;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">
${grid.join("")}<path d="${steps.join("")}H${width - right}"/>
<text x="${left}" y="${height - 6}">${escaped(first.at)}</text><text x="${width - right}" y="${height - 6}" text-anchor="end">${escaped(end)}</text></svg>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
