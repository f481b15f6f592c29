import { dotAt, FOOT, HEAD, lineAt, type Picture, px, svgOf, textAt, WIDTH } from "./svg.ts";

/** One line: points with the interval of each. */
export interface Line {
  readonly name: string;
  readonly isOurs: boolean;
  readonly points: readonly {
    readonly x: number;
    readonly y: number;
    readonly low: number;
    readonly high: number;
  }[];
}

/** What the axes are called, with their units. */
export interface Axes {
  readonly x: string;
  readonly y: string;
}

const LEFT = 80;
const RIGHT = 200;
const TALL = 300;
const TICKS_MAX = 6;

/** Lines over a logarithmic x axis; y begins at 0. */
export function lineChart(picture: Picture, axes: Axes, lines: readonly Line[]): string {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort(
    (a, b) => a - b,
  );
  const first = xs[0] ?? 1;
  const last = Math.max(xs.at(-1) ?? 1, first * 1.01);
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(({ high }) => high)), 1e-9);
  const step = stepFor(highest);
  const count = Math.ceil(highest / step);
  const top = count * step;
  const bottom = HEAD + TALL;
  const atX = (value: number): number =>
    LEFT + (Math.log(value / first) / Math.log(last / first)) * (WIDTH - LEFT - RIGHT);
  const atY = (value: number): number => bottom - (value / top) * TALL;
  const ticks = Array.from({ length: count + 1 }, (_, index) => step * index);
  const grid = [
    ...ticks.flatMap((tick) => [
      lineAt([LEFT, atY(tick), WIDTH - RIGHT, atY(tick)], "axis"),
      textAt(
        LEFT - 10,
        atY(tick) + 4,
        tickText(tick, tick === top ? ` ${axes.y}` : ""),
        "faint end",
      ),
    ]),
    ...xs.map((each) => textAt(atX(each), bottom + 18, String(each), "faint middle")),
    textAt((LEFT + WIDTH - RIGHT) / 2, bottom + 38, axes.x, "faint middle"),
  ];
  const drawn = lines.flatMap(({ name, isOurs, points }) => {
    const colour = isOurs ? "contender" : "base";
    const path = points.map(({ x, y }) => `${px(atX(x))},${px(atY(y))}`).join(" ");
    const end = points.at(-1);
    return [
      `<polyline points="${path}" class="${colour}" style="fill:none" stroke-width="2"/>`,
      ...points.flatMap(({ x, y, low, high }) => [
        lineAt([atX(x), atY(low), atX(x), atY(high)], colour, 2),
        dotAt(atX(x), atY(y), colour),
      ]),
      ...(end === undefined ? [] : [textAt(atX(end.x) + 12, atY(end.y) + 4, name)]),
    ];
  });
  return svgOf(picture, bottom + 50 + FOOT, [...grid, ...drawn]);
}

/** The round number that divides an axis to `highest` into few parts: 1, 2 or 5 and zeros. */
function stepFor(highest: number): number {
  const power = 10 ** Math.floor(Math.log10(highest / TICKS_MAX));
  const factor = [1, 2, 5, 10].find((each) => highest / (each * power) <= TICKS_MAX) ?? 10;
  return factor * power;
}

function tickText(tick: number, unit: string): string {
  return `${Number(tick.toPrecision(6))}${unit}`;
}
