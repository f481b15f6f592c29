import { wallMs } from "./clock.js";
import { element } from "./dom.js";
import { bytes, milliseconds, number } from "./words.js";

/** @typedef {readonly (number | null)[]} Row a point as `historyColumns` of the feed names its numbers */
/** @typedef {typeof import("uplot")} PlotClass */
/** @typedef {import("uplot")} Plot */

/**
 * @typedef {object} ChartDefinition
 * @property {string} title
 * @property {(row: Row, path: number) => number | null} read `path` is 0 for legacy and 1 for the candidate
 * @property {(value: number) => string} unit
 * @property {number[]} [steps] between two marks of the scale
 * @property {number} least the upper end of the scale while all values are below it
 */

/** @param {number} column of a path's seven numbers @returns {(row: Row, path: number) => number | null} */
const column = (column) => (row, path) => row[1 + path * 7 + column] ?? null;

/** From 1 KiB to 512 GiB, so that marks are round where units are powers of two. */
const binary = Array.from({ length: 30 }, (_, power) => 2 ** (power + 10));

/** @type {readonly ChartDefinition[]} */
const definitions = [
  { title: "Calls per second", read: column(0), unit: number, least: 1 },
  {
    title: "Failures per second",
    read: (row, path) => (column(1)(row, path) ?? 0) + (column(2)(row, path) ?? 0),
    unit: number,
    least: 1,
  },
  { title: "Latency, p95", read: column(4), unit: milliseconds, least: 10 },
  { title: "Memory in flight", read: column(6), unit: bytes, least: 2 ** 20, steps: binary },
];

/** The gateway serves it from the package, where that is installed. */
const address = "/console/uplot.js";
const height = 116;
const spanSeconds = 300;
const leastSeconds = 60;

/** @returns {Promise<PlotClass | null>} null where the package is not installed on the server */
async function loadPlots() {
  try {
    const { default: plots } = await import(address);
    const link = element("link", { rel: "stylesheet", href: "/console/uplot.css" });
    document.head.append(link);
    return plots;
  } catch {
    return null;
  }
}

/** The last five minutes of one operation as four small charts, both paths in each. */
export class Charts {
  /** @type {HTMLElement} */
  #parent;
  /** @type {PlotClass | null} */
  #plots = null;
  /** @type {{ figure: HTMLElement, frame: HTMLElement, values: HTMLElement, plot: Plot | null }[]} */
  #figures = [];
  /** @type {readonly Row[]} */
  #rows = [];

  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.#parent = parent;
    for (const { title } of definitions) {
      const frame = element("div", { class: "plot", role: "img" });
      const values = element("span", { class: "latest" });
      const caption = element("figcaption", {}, element("span", {}, title), values);
      const figure = element("figure", { class: "chart" }, caption, frame);
      this.#figures.push({ figure, frame, values, plot: null });
      parent.append(figure);
    }
    void loadPlots().then((plots) => {
      this.#plots = plots;
      parent.classList.toggle("without-plots", plots === null);
      this.redraw();
    });
    new ResizeObserver(() => this.#resize()).observe(parent);
  }

  /** @param {readonly Row[]} rows oldest first */
  show(rows) {
    this.#rows = rows;
    for (const [index, definition] of definitions.entries()) {
      const part = this.#figures[index];
      if (part === undefined) continue;
      const last = rows.at(-1);
      const latest = [0, 1].map((path) => {
        const value = last === undefined ? null : definition.read(last, path);
        return value === null ? "–" : definition.unit(value);
      });
      part.values.replaceChildren(
        element("b", { class: "legacy" }, latest[0] ?? ""),
        element("b", { class: "candidate" }, latest[1] ?? ""),
      );
      const words = `${definition.title} over the last five minutes; now legacy ${latest[0]}, candidate ${latest[1]}.`;
      part.frame.setAttribute("aria-label", words);
      part.plot?.setData(this.#dataOf(definition));
    }
  }

  /** Draws anew, as in other colours. */
  redraw() {
    const plots = this.#plots;
    if (plots === null) return;
    for (const [index, definition] of definitions.entries()) {
      const part = this.#figures[index];
      if (part === undefined) continue;
      part.plot?.destroy();
      part.plot = new plots(
        optionsOf(definition, this.#parent, part.frame.clientWidth || 240),
        this.#dataOf(definition),
        part.frame,
      );
    }
  }

  #resize() {
    for (const { frame, plot } of this.#figures) {
      const width = frame.clientWidth;
      if (plot !== null && width > 0 && plot.width !== width) plot.setSize({ width, height });
    }
  }

  /** @param {ChartDefinition} definition @returns {import("uplot").AlignedData} */
  #dataOf({ read }) {
    const rows = this.#rows;
    return [
      rows.map((row) => (row[0] ?? 0) / 1000),
      rows.map((row) => read(row, 0)),
      rows.map((row) => read(row, 1)),
    ];
  }
}

/**
 * @param {ChartDefinition} definition
 * @param {HTMLElement} parent
 * @param {number} width
 * @returns {import("uplot").Options}
 */
function optionsOf({ unit, least, steps }, parent, width) {
  const style = getComputedStyle(parent);
  /** @param {string} name */
  const colour = (name) => resolved(parent, style.getPropertyValue(name));
  const axis = {
    stroke: colour("--faint"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      // From the points themselves: around a single one the library makes a day.
      x: { time: true, range: ({ data: [x] }) => lately(x[0] ?? null, x.at(-1) ?? null) },
      y: { range: (_plot, _min, max) => [0, Math.max(least, max * 1.15)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        incrs: [15, 30, 60, 120],
        space: 84,
        size: 20,
        values: (_plot, splits) => splits.map(clockText),
      },
      {
        ...axis,
        ...(steps === undefined ? {} : { incrs: steps }),
        size: 58,
        space: 34,
        values: (_plot, splits) => splits.map((value) => unit(value)),
      },
    ],
    series: [
      {},
      { stroke: colour("--legacy"), width: 1.6, dash: [5, 3], points: lonely },
      { stroke: colour("--candidate"), width: 2, points: lonely },
    ],
  };
}

/**
 * A point between gaps, or the very first one, which no line would show.
 * @type {import("uplot").Series.Points}
 */
const lonely = {
  size: 5,
  show: false,
  filter: (plot, series) => {
    const values = plot.data[series] ?? [];
    /** @param {number} index */
    const missing = (index) => values[index] === null || values[index] === undefined;
    return [...values.keys()].filter(
      (index) => !missing(index) && missing(index - 1) && missing(index + 1),
    );
  },
};

/**
 * From the oldest point to the newest, at least a minute; up to now where there is none.
 * @param {number | null} oldest seconds since the Unix epoch
 * @param {number | null} newest
 * @returns {[number, number]}
 */
function lately(oldest, newest) {
  const end = newest ?? wallMs() / 1000;
  return [Math.max(end - spanSeconds, Math.min(oldest ?? end, end - leastSeconds)), end];
}

/** @param {number} seconds since the Unix epoch */
const clockText = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

/**
 * A custom property's colour in the present theme; a canvas does not understand `light-dark()`.
 * @param {HTMLElement} parent
 * @param {string} value
 */
function resolved(parent, value) {
  const probe = element("span", { hidden: true });
  probe.style.color = value;
  parent.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
