/** One line or number: a PromQL expression and how it is called in the legend. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** What a panel shows; where it stands follows from its row. */
export interface PanelSpec {
  readonly title: string;
  /** One sentence: what to look for. */
  readonly description: string;
  readonly type: "stat" | "timeseries" | "state-timeline";
  /** A unit id of Grafana: `reqps`, `percentunit` (0 to 1), `percent` (0 to 100), `s`, `bytes`, `Bps`, `short`. */
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly max?: number;
  /** Number to word and colour, for states. */
  readonly states?: readonly {
    readonly value: number;
    readonly text: string;
    readonly color: string;
  }[];
}

/** A titled row of panels that share its width evenly. */
export interface RowSpec {
  readonly title: string;
  /** Grid units of 30 pixels. */
  readonly height: number;
  readonly panels: readonly PanelSpec[];
}

/** JSON as Grafana's classic dashboard schema wants it. */
export type DashboardJson = Readonly<Record<string, unknown>>;

const gridWidth = 24;

/** The Prometheus picked above the dashboard. */
export const datasource: DashboardJson = { type: "prometheus", uid: "$datasource" };

/** Places rows below each other and gives every panel its id: the same rows give the same JSON. */
export function panelsOf(rows: readonly RowSpec[]): readonly DashboardJson[] {
  const panels: DashboardJson[] = [];
  let y = 0;
  for (const row of rows) {
    const rowAt = { x: 0, y, w: gridWidth, h: 1 };
    panels.push({
      ...{ id: panels.length + 1, type: "row", title: row.title, gridPos: rowAt },
      ...{ collapsed: false, panels: [] },
    });
    const w = Math.floor(gridWidth / row.panels.length);
    for (const [index, spec] of row.panels.entries()) {
      const gridPos = { x: index * w, y: y + 1, w, h: row.height };
      panels.push(panelOf(spec, panels.length + 1, gridPos));
    }
    y += row.height + 1;
  }
  return panels;
}

function panelOf(spec: PanelSpec, id: number, gridPos: DashboardJson): DashboardJson {
  const { title, description, type, unit, max, states } = spec;
  const targets = spec.queries.map(({ expr, legend }, index) => ({
    refId: String.fromCharCode(65 + index),
    datasource,
    expr,
    legendFormat: legend,
    range: type !== "stat",
    instant: type === "stat",
  }));
  const defaults = {
    unit,
    ...(max === undefined ? {} : { max }),
    ...(unit === "short" || states !== undefined ? {} : { min: 0 }),
    mappings: states === undefined ? [] : [mappingOf(states)],
    thresholds: { mode: "absolute", steps: [{ color: "text", value: null }] },
    ...(type === "timeseries" ? { custom: { lineWidth: 2, fillOpacity: 5 } } : {}),
  };
  return {
    ...{ id, type, title, description, gridPos, datasource, targets },
    fieldConfig: { defaults, overrides: [] },
    options: optionsOf(type),
  };
}

function mappingOf(states: NonNullable<PanelSpec["states"]>): DashboardJson {
  const options = Object.fromEntries(
    states.map(({ value, text, color }, index) => [String(value), { text, color, index }]),
  );
  return { type: "value", options };
}

function optionsOf(type: PanelSpec["type"]): DashboardJson {
  const legend = { displayMode: "list", placement: "bottom", showLegend: true };
  if (type === "timeseries") return { legend, tooltip: { mode: "multi", sort: "desc" } };
  if (type === "state-timeline") return { legend, mergeValues: true, showValue: "auto" };
  return {
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    ...{ colorMode: "value", graphMode: "none", textMode: "value_and_name" },
  };
}
