// The only file that knows Grafana's builders: they are young, and leave out what a panel needs.
import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import {
  BigValueColorMode,
  BigValueGraphMode,
  BigValueTextMode,
  type DataSourceRef,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  type GridPos,
  MappingType,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMapping,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as StateTimelineBuilder } from "@grafana/grafana-foundation-sdk/statetimeline";
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

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
  /** From this value on it is red. */
  readonly redFrom?: number;
}

/** A titled row of panels that share its width evenly. */
export interface RowSpec {
  readonly title: string;
  /** Grid units of 30 pixels. */
  readonly height: number;
  readonly panels: readonly PanelSpec[];
}

/** A vertical line over all panels, wherever the expression has a point. */
export interface AnnotationSpec {
  readonly title: string;
  readonly expr: string;
  readonly text: string;
  readonly color: string;
}

/** A whole dashboard. */
export interface DashboardSpec {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly RowSpec[];
  readonly annotations: readonly AnnotationSpec[];
  /** Can operations be picked above it? */
  readonly byOperation: boolean;
}

/** JSON as Grafana's classic dashboard schema wants it. */
export type DashboardJson = Readonly<Record<string, unknown>>;

const gridWidth = 24;

/** The Prometheus picked above the dashboard. */
const datasource: DataSourceRef = { type: "prometheus", uid: "$datasource" };

/** Builds a dashboard: the same description gives the same JSON. */
export function dashboardOf(spec: DashboardSpec): DashboardJson {
  const dashboard = new DashboardBuilder(`changeover: ${spec.title}`)
    .uid(spec.uid)
    .description(spec.description)
    .tags(["changeover"])
    .tooltip(DashboardCursorSync.Crosshair)
    .editable()
    .timezone("browser")
    .refresh("10s")
    .version(1)
    .time({ from: "now-1h", to: "now" })
    .withVariable(
      new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"),
    );
  if (spec.byOperation) dashboard.withVariable(pickOperation());
  for (const each of spec.annotations) dashboard.annotation(annotationOf(each));
  placeRows(dashboard, spec.rows);
  return dashboard.build() as unknown as DashboardJson;
}

function pickOperation(): QueryVariableBuilder {
  const query = "label_values(changeover_latch_tripped, operation)";
  return new QueryVariableBuilder("operation")
    .label("Operation")
    .datasource(datasource)
    .query({ query, refId: "operations" })
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ text: "All", value: "$__all" });
}

function annotationOf({ title, expr, text, color }: AnnotationSpec): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name(title)
    .datasource(datasource)
    .enable(true)
    .iconColor(color)
    .expr(expr)
    .titleFormat(title)
    .textFormat(text);
}

/** Puts rows below each other and gives every panel its id. */
function placeRows(dashboard: DashboardBuilder, rows: readonly RowSpec[]): void {
  let id = 0;
  let y = 0;
  for (const row of rows) {
    id += 1;
    const title = new RowBuilder(row.title).id(id).gridPos({ x: 0, y, w: gridWidth, h: 1 });
    dashboard.withRow(title);
    const w = Math.floor(gridWidth / row.panels.length);
    for (const [index, spec] of row.panels.entries()) {
      id += 1;
      const gridPos: GridPos = { x: index * w, y: y + 1, w, h: row.height };
      dashboard.withPanel(panelOf(spec, id, gridPos));
    }
    y += row.height + 1;
  }
}

type AnyPanel = TimeseriesBuilder | StatBuilder | StateTimelineBuilder;

const builders: Readonly<Record<PanelSpec["type"], () => AnyPanel>> = {
  timeseries: () =>
    new TimeseriesBuilder()
      .lineWidth(2)
      .fillOpacity(5)
      .showPoints(VisibilityMode.Never)
      .legend(legend())
      .tooltip(
        new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending),
      ),
  "state-timeline": () =>
    new StateTimelineBuilder().mergeValues(true).showValue(VisibilityMode.Auto).legend(legend()),
  stat: () =>
    new StatBuilder()
      // Without these a stat shows nothing at all.
      .reduceOptions(new ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false).fields(""))
      .colorMode(BigValueColorMode.Value)
      .graphMode(BigValueGraphMode.None)
      .textMode(BigValueTextMode.ValueAndName),
};

function legend(): VizLegendOptionsBuilder {
  return new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(LegendDisplayMode.List)
    .placement(LegendPlacement.Bottom)
    .calcs([]);
}

function panelOf(spec: PanelSpec, id: number, gridPos: GridPos): Builder<Panel> {
  const { title, description, type, unit, max, states, redFrom } = spec;
  const panel = builders[type]()
    .id(id)
    .title(title)
    .description(description)
    .datasource(datasource)
    .gridPos(gridPos)
    .unit(unit)
    .thresholds(thresholds(redFrom));
  if (unit !== "short" && states === undefined) panel.min(0);
  if (max !== undefined) panel.max(max);
  if (states !== undefined) panel.mappings([mappingOf(states)]);
  for (const [index, query] of spec.queries.entries()) {
    panel.withTarget(targetOf(query, String.fromCharCode(65 + index), type === "stat"));
  }
  return panel;
}

function targetOf({ expr, legend: text }: Query, refId: string, now: boolean): Builder<Dataquery> {
  const query = new DataqueryBuilder()
    .refId(refId)
    .datasource(datasource)
    .expr(expr)
    .legendFormat(text);
  return now ? query.instant() : query.range();
}

function thresholds(redFrom: number | undefined): ThresholdsConfigBuilder {
  const normal = { color: "text", value: null };
  const steps = redFrom === undefined ? [normal] : [normal, { color: "red", value: redFrom }];
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps);
}

function mappingOf(states: NonNullable<PanelSpec["states"]>): ValueMapping {
  const options = Object.fromEntries(
    states.map(({ value, text, color }, index) => [String(value), { text, color, index }]),
  );
  return { type: MappingType.ValueToText, options };
}
