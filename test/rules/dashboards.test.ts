import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { labelNames, seriesNames } from "../../src/metrics/metric.ts";
import { allDashboards, allMetrics } from "../metrics/dashboard.ts";
import { readingOf, rulesOf } from "../metrics/promql.ts";

const root = new URL("../../", import.meta.url);
const textOf = (path: string): string => readFileSync(new URL(path, root), "utf8");
const rules = rulesOf(textOf("grafana/alerts/changeover.rules.yaml"));

/** Labels that Prometheus itself puts on everything it scrapes. */
const targetLabels = ["instance", "job"];

/** What may be read: Prometheus' own `up`, the catalogue's series and the recorded ones, with their labels. */
const known = new Map<string, ReadonlySet<string>>([["up", new Set(targetLabels)]]);
for (const metric of allMetrics) {
  for (const name of seriesNames(metric)) {
    known.set(name, new Set([...labelNames(metric), ...targetLabels]));
  }
}
for (const { kind, name, expr } of rules) {
  if (kind !== "record") continue;
  known.set(name, new Set(readingOf(expr).groupings.flatMap(({ labels }) => labels)));
}

/** The closed list of a label's values, or null where it has none. */
function valuesOf(series: string, label: string): readonly string[] | null {
  const metric = allMetrics.find((each) => seriesNames(each).includes(series));
  const values = metric?.labels[label];
  return values === undefined || values.length === 0 ? null : values;
}

/** Everything an expression reads that does not exist. */
function unknownIn(expr: string): string[] {
  const { selectors, groupings } = readingOf(expr);
  const problems: string[] = [];
  for (const { metric, matchers } of selectors) {
    const labels = known.get(metric);
    if (labels === undefined) {
      problems.push(metric);
      continue;
    }
    for (const { label, operator, value } of matchers) {
      if (!labels.has(label)) problems.push(`${metric}{${label}}`);
      const values = valuesOf(metric, label);
      if (values === null || value === ".*") continue;
      const asked = operator.endsWith("~") ? value.split("|") : [value];
      for (const each of asked) {
        if (!values.includes(each)) problems.push(`${metric}{${label}="${each}"}`);
      }
    }
  }
  for (const { labels, metrics } of groupings) {
    for (const metric of metrics) {
      const missing = labels.filter((label) => known.get(metric)?.has(label) === false);
      problems.push(...missing.map((label) => `by (${label}): ${metric}`));
    }
  }
  return [...new Set(problems)];
}

const queries = [
  ...allDashboards.flatMap(({ name, panels, annotations }) => [
    ...panels.flatMap((panel) =>
      (panel.targets ?? []).map(({ expr }) => [`${name}: ${panel.title}`, expr] as const),
    ),
    ...(annotations.list ?? []).map((each) => [`${name}: ${each.name}`, each.expr] as const),
  ]),
  ...rules.map(({ name, expr }) => [name, expr] as const),
];

describe("the check of names itself", () => {
  it.each([
    ["rate(changeover_call_total[5m])", "changeover_call_total"],
    ["sum by (route) (changeover_calls_total)", "by (route): changeover_calls_total"],
    ["sum(changeover_calls_total) by (route)", "by (route): changeover_calls_total"],
    ['changeover_calls_total{way="legacy"}', "changeover_calls_total{way}"],
    ['changeover_calls_total{outcome=~"failed|error"}', 'changeover_calls_total{outcome="error"}'],
    ["changeover_call_duration_seconds", "changeover_call_duration_seconds"],
    ["1 + on (operation) down", "down"],
    ["1 + on (operation) up", "by (operation): up"],
    [
      "changeover_latch_tripped + on (path) changeover_in_flight_bytes",
      "by (path): changeover_latch_tripped",
    ],
  ])("finds what does not exist in %s", (expr, problem) => {
    expect(unknownIn(expr)).toEqual([problem]);
  });

  it("takes no function, keyword, number, duration or text for a metric", () => {
    const expr =
      'histogram_quantile(0.95, sum by (le) (rate(changeover_call_duration_seconds_bucket{source="served"}[$__rate_interval] offset 5m))) > bool 1e3 and on (le) vector(1) or Inf';
    expect(readingOf(expr).selectors.map((each) => each.metric)).toEqual([
      "changeover_call_duration_seconds_bucket",
    ]);
  });

  it("throws for what it cannot read instead of passing it", () => {
    expect(() => readingOf("rate(changeover_calls_total{")).toThrow("Not PromQL");
    expect(() => readingOf("a ; b")).toThrow("Not PromQL");
    expect(() => readingOf('{__name__="a"}')).toThrow("without a metric");
    expect(() => readingOf("rate(a[$interval])")).toThrow("$interval");
    expect(() => rulesOf("  - alert: A\n    labels: {}\n")).toThrow("no expr");
    expect(() => rulesOf("  - alert: A\n    expr: >\n      1\n")).toThrow("Cannot read");
  });
});

describe("dashboards and alerts", () => {
  it("are there to be checked", () => {
    expect(allDashboards.map(({ name }) => name)).toEqual(["rollout", "files", "fleet"]);
    expect(queries.length).toBeGreaterThan(100);
    expect(rules.length).toBeGreaterThan(20);
  });

  it.each(queries)("read only metrics, labels and values that exist: %s", (_, expr) => {
    expect(unknownIn(expr)).toEqual([]);
  });

  it("show or watch every metric of the catalogue", () => {
    const read = new Set(
      queries.flatMap(([, expr]) => readingOf(expr).selectors.map((each) => each.metric)),
    );
    const unread = allMetrics.filter(
      (metric) => !seriesNames(metric).some((name) => read.has(name)),
    );
    expect(unread.map((metric) => metric.name)).toEqual([]);
  });

  it("never look at a counter without a rate or an increase, but where they say so", () => {
    const counters = allMetrics.filter((metric) => metric.type === "counter");
    for (const [title, expr] of queries) {
      for (const { name } of counters) {
        if (name === "changeover_operations_overflow_total") continue;
        const bare = new RegExp(`(?<!(rate|increase)\\()${name}\\b`);
        expect(bare.test(expr), `${title}: ${name}`).toBe(false);
      }
    }
  });
});

describe.each(allDashboards)("the dashboard $name", ({ name, uid, panels }) => {
  const shown = panels.filter((panel) => panel.type !== "row");

  it("is committed as it is generated (run: npm run grafana)", () => {
    const committed: unknown = JSON.parse(textOf(`grafana/dashboards/${name}.json`));
    const generated = allDashboards.find((each) => each.uid === uid);
    expect({ name, ...(committed as object) }).toEqual(JSON.parse(JSON.stringify(generated)));
  });

  it("gives every panel an id, a unit, a description, a legend and the picked data source", () => {
    expect(new Set(panels.map((panel) => panel.id)).size).toBe(panels.length);
    for (const panel of shown) {
      expect(panel.id, panel.title).toBeGreaterThan(0);
      expect(panel.fieldConfig?.defaults.unit, panel.title).toBeTruthy();
      expect(panel.description, panel.title).toBeTruthy();
      expect(panel.targets?.length, panel.title).toBeGreaterThan(0);
      if (panel.type === "stat") {
        expect(panel.options?.reduceOptions?.calcs, panel.title).toEqual(["lastNotNull"]);
      } else expect(panel.options?.legend?.showLegend, panel.title).toBe(true);
      for (const target of panel.targets ?? []) {
        expect(target.legendFormat, panel.title).toBeTruthy();
        expect(target.datasource.uid, panel.title).toBe("$datasource");
        expect(target.instant === true, panel.title).toBe(panel.type === "stat");
      }
    }
  });

  it("puts no panel over another or beside the grid", () => {
    const taken = new Set<string>();
    for (const { title, gridPos } of panels) {
      const { x, y, w, h } = gridPos;
      expect(x + w, title).toBeLessThanOrEqual(24);
      for (let column = x; column < x + w; column += 1) {
        for (let line = y; line < y + h; line += 1) {
          expect(taken.has(`${column}/${line}`), `${title} covers another panel`).toBe(false);
          taken.add(`${column}/${line}`);
        }
      }
    }
  });
});

describe("the dashboard of a rollout", () => {
  it("tells its story in one screen of 22 lines: state, both paths, guard", () => {
    const rollout = allDashboards.find(({ name }) => name === "rollout");
    const rows = rollout?.panels.filter(({ type }) => type === "row") ?? [];
    expect(rows.slice(0, 3).map(({ title }) => title)).toEqual([
      "Where we are",
      "Both paths",
      "Guard",
    ]);
    expect(rows[3]?.gridPos.y).toBeLessThanOrEqual(22);
  });
});
