import { escaped } from "./escaped.ts";

/** Calls of the operation in a second, as callers saw them, at a moment. */
export interface TrafficSample {
  /** ISO 8601. */
  readonly at: string;
  readonly legacy: number;
  readonly candidate: number;
  /** Answered by legacy after the candidate had failed; a part of `legacy`. */
  readonly fellBack: number;
}

const width = 960;
const height = 220;
const left = 48;
const right = 16;
const top = 28;
const bottom = 28;

/** Each line with its name and its dashes: told apart without colours, too. */
const lines = [
  { name: "legacy", title: "answered by legacy", dashes: "6 4" },
  { name: "candidate", title: "answered by the candidate", dashes: "" },
  { name: "fellBack", title: "legacy after the candidate failed", dashes: "2 3" },
] as const;

/** Calls in a second on each path over time, as an SVG; empty with fewer than two samples. Pure. */
export function trafficChart(samples: readonly TrafficSample[]): string {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || first === last) return "";
  const fromMs = Date.parse(first.at);
  const spanMs = Math.max(1, Date.parse(last.at) - fromMs);
  const highest = Math.max(1, ...samples.map(({ legacy, candidate }) => legacy + candidate));
  const x = (at: string): number =>
    round(left + ((width - left - right) * (Date.parse(at) - fromMs)) / spanMs);
  const y = (value: number): number => round(top + (height - top - bottom) * (1 - value / highest));
  const grid = [0, highest / 2, highest].map(
    (value) =>
      `<line x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}"/><text x="4" y="${y(value) + 4}">${Math.round(value)}/s</text>`,
  );
  const drawn = lines.map(({ name, dashes }) => {
    const points = samples.map((sample) => `${x(sample.at)} ${y(sample[name])}`);
    return `<path class="${name}" stroke-dasharray="${dashes}" d="M${points.join("L")}"/>`;
  });
  const legend = lines.map(
    ({ name, title, dashes }, index) =>
      `<path class="${name}" stroke-dasharray="${dashes}" d="M${left + index * 280} 10h28"/><text x="${left + 34 + index * 280}" y="14">${title}</text>`,
  );
  const label = `Calls in a second on each path from ${first.at} to ${last.at}`;
  return `<h2>Calls in a second, by who answered</h2>
<svg class="traffic" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">
${grid.join("")}${drawn.join("")}${legend.join("")}
<text x="${left}" y="${height - 6}">${escaped(first.at)}</text><text x="${width - right}" y="${height - 6}" text-anchor="end">${escaped(last.at)}</text></svg>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
