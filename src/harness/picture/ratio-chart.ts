import type { Comparison } from "../measurement.ts";
import { dotAt, FOOT, HEAD, lineAt, type Picture, svgOf, textAt, WIDTH } from "./svg.ts";

const ROW = 26;
const LEFT = 452;
const RIGHT = 110;
const LABEL_MAX = 58;
const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** How many times better the contender is: above 1 it is, whatever is better, more or less. */
export function advantage({ better, ratio, ratioCi95 }: Comparison): {
  readonly value: number;
  readonly low: number;
  readonly high: number;
} {
  const { low, high } = ratioCi95;
  if (better === "higher") return { value: ratio, low, high };
  return { value: 1 / ratio, low: 1 / high, high: 1 / low };
}

/**
 * One row for each comparison: how many times better the contender is than the base, with its 95 %
 * interval, on a logarithmic scale.
 */
export function ratioChart(picture: Picture, comparisons: readonly Comparison[]): string {
  const rows = comparisons.map((each) => ({ each, ...advantage(each) }));
  // What all rows have in common stands above them once.
  const measures = new Set(comparisons.map(({ measure }) => measure));
  const sides = new Set(comparisons.map(sidesOf));
  const common = [...(measures.size === 1 ? measures : []), ...(sides.size === 1 ? sides : [])];
  const lowest = Math.min(0.5, ...rows.map(({ low }) => low));
  const highest = Math.max(2, ...rows.map(({ high }) => high));
  const from = steps.findLast((step) => step <= lowest) ?? 0.01;
  const to = steps.find((step) => step >= highest) ?? 1000;
  const clamp = (value: number): number => Math.min(to, Math.max(from, value));
  const x = (value: number): number =>
    LEFT + (Math.log(clamp(value) / from) / Math.log(to / from)) * (WIDTH - LEFT - RIGHT);
  const bottom = HEAD + rows.length * ROW + 6;
  const grid = steps
    .filter((step) => step >= from && step <= to)
    .flatMap((step) => [
      lineAt([x(step), HEAD - 6, x(step), bottom], step === 1 ? "one" : "axis"),
      textAt(x(step), bottom + 16, `${step}×`, "faint middle"),
    ]);
  const drawn = rows.flatMap(({ each, value, low, high }, index) => {
    const y = HEAD + index * ROW + ROW / 2;
    const own = [
      ...(measures.size === 1 ? [] : [each.measure]),
      ...(sides.size === 1 ? [] : [sidesOf(each)]),
    ].join(", ");
    return [
      textAt(LEFT - 14, y + 4, shortened(own === "" ? each.case : `${each.case}: ${own}`), "end"),
      lineAt([x(low), y, x(high), y], each.reading, 3),
      dotAt(x(value), y, each.reading),
      textAt(WIDTH - 20, y + 4, `${rounded(value)}×`, "end"),
    ];
  });
  const above = [...common, picture.subtitle].join(", ");
  return svgOf({ ...picture, subtitle: above }, bottom + 30 + FOOT, [...grid, ...drawn]);
}

function sidesOf({ contenderName, baseName }: Comparison): string {
  return `${contenderName} / ${baseName}`;
}

/** To what fits left of the drawing, in a wide font too. */
function shortened(text: string): string {
  return text.length <= LABEL_MAX ? text : `${text.slice(0, LABEL_MAX - 1)}…`;
}

function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
