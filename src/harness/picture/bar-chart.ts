import { boxAt, FOOT, HEAD, lineAt, type Picture, svgOf, textAt, WIDTH } from "./svg.ts";

/** One bar with the range of its values. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Ours is drawn in another colour. */
  readonly isOurs: boolean;
  /** What cannot be told apart from less; default: everything can. */
  readonly resolution?: number | null;
}

const ROW = 28;
const LEFT = 300;
const RIGHT = 110;

/** Horizontal bars from 0, each with the range of what was measured. */
export function barChart(picture: Picture, unit: string, bars: readonly Bar[]): string {
  const to = Math.max(...bars.map(({ high }) => high), 1e-9) * 1.05;
  const x = (value: number): number => LEFT + (value / to) * (WIDTH - LEFT - RIGHT);
  const drawn = bars.flatMap(({ label, value, low, high, isOurs, resolution }, index) => {
    const hidden = typeof resolution === "number" && value <= resolution ? "≤ " : "";
    const y = HEAD + index * ROW;
    const middle = y + ROW / 2;
    return [
      textAt(LEFT - 14, middle + 4, label, "end"),
      boxAt([LEFT, y + 5, x(value) - LEFT, ROW - 10], isOurs ? "contender" : "base"),
      lineAt([x(low), middle, x(high), middle], "one"),
      textAt(WIDTH - 20, middle + 4, `${hidden}${value.toFixed(1)} ${unit}`, "end"),
    ];
  });
  const bottom = HEAD + bars.length * ROW;
  const axis = lineAt([LEFT, HEAD - 4, LEFT, bottom + 4], "axis");
  return svgOf(picture, bottom + 16 + FOOT, [axis, ...drawn]);
}
