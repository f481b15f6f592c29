import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { rolloutDashboard } from "../../grafana/rollout.ts";
import { catalogue, labelNames, seriesNames } from "../../src/metrics/catalogue.ts";
import { MetricsRecorder } from "../../src/metrics/recorder.ts";
import { Operation } from "../../src/migration/operation.ts";
import { readingOf, rulesOf } from "../metrics/promql.ts";

const root = new URL("../../", import.meta.url);
const textOf = (path: string): string => readFileSync(new URL(path, root), "utf8");
const rulesPath = "grafana/alerts/changeover.rules.yaml";
const rules = rulesOf(textOf(rulesPath));

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly {
    readonly expr: string;
    readonly legendFormat: string;
    readonly datasource: { readonly uid: string };
  }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
}
const dashboard = rolloutDashboard as unknown as {
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
};
const panels = dashboard.panels.filter((panel) => panel.type !== "row");

/** Labels that Prometheus itself puts on everything it scrapes. */
const targetLabels = ["instance", "job"];

/** What may be read: the catalogue's series and the recorded ones, with their labels. */
const known = new Map<string, ReadonlySet<string>>();
for (const metric of Object.values(catalogue)) {
  for (const name of seriesNames(metric)) {
    known.set(name, new Set([...labelNames(metric), ...targetLabels]));
  }
}
for (const { kind, name, expr } of rules) {
  if (kind === "record") known.set(name, new Set(readingOf(expr).grouping));
}

/** The closed list of a label's values, or null where it has none. */
function valuesOf(series: string, label: string): readonly string[] | null {
  const metric = Object.values(catalogue).find((each) => seriesNames(each).includes(series));
  const values = metric?.labels[label];
  return values === undefined || values.length === 0 ? null : values;
}

/** Everything an expression reads that does not exist. */
function unknownIn(expr: string): string[] {
  const { selectors, grouping } = readingOf(expr);
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
      if (values === null || value.includes("$")) continue;
      const asked = operator.endsWith("~") ? value.split("|") : [value];
      for (const each of asked) {
        if (!values.includes(each)) problems.push(`${metric}{${label}="${each}"}`);
      }
    }
    for (const label of grouping) if (!labels.has(label)) problems.push(`by (${label}): ${metric}`);
  }
  return problems;
}

const queries = [
  ...panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ expr }) => [panel.title, expr] as const),
  ),
  ...dashboard.annotations.list.map(({ expr }) => ["annotation", expr] as const),
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
    ["1 + on (operation) up", "up"],
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
    expect(() => readingOf("rate(changeover_calls_total{")).toThrow("No }");
    expect(() => readingOf("a ; b")).toThrow("Not PromQL");
    expect(() => readingOf('{__name__="a"}')).toThrow("without a metric");
    expect(() => rulesOf("  - alert: A\n    labels: {}\n")).toThrow("no expr");
    expect(() => rulesOf("  - alert: A\n    expr: >\n      1\n")).toThrow("Cannot read");
  });
});

describe("dashboards and alerts", () => {
  it("are there to be checked", () => {
    expect(panels.length).toBeGreaterThan(15);
    expect(rules.length).toBeGreaterThan(8);
  });

  it.each(queries)("read only metrics, labels and values that exist: %s", (_, expr) => {
    expect(unknownIn(expr)).toEqual([]);
  });

  it("show or watch every metric of the catalogue", () => {
    const read = new Set(
      queries.flatMap(([, expr]) => readingOf(expr).selectors.map((each) => each.metric)),
    );
    const unread = Object.values(catalogue).filter(
      (metric) => !seriesNames(metric).some((name) => read.has(name)),
    );
    expect(unread.map((metric) => metric.name)).toEqual([]);
  });

  it("are committed as they are generated (run: node grafana/generate.ts)", () => {
    const committed: unknown = JSON.parse(textOf("grafana/dashboards/rollout.json"));
    expect(committed).toEqual(JSON.parse(JSON.stringify(rolloutDashboard)));
  });

  it("give every panel an id, a unit, a description, a legend and the picked data source", () => {
    expect(new Set(dashboard.panels.map((panel) => panel.id)).size).toBe(dashboard.panels.length);
    for (const panel of panels) {
      expect(panel.fieldConfig?.defaults.unit, panel.title).toBeTruthy();
      expect(panel.description, panel.title).toBeTruthy();
      for (const target of panel.targets ?? []) {
        expect(target.legendFormat, panel.title).toBeTruthy();
        expect(target.datasource.uid, panel.title).toBe("$datasource");
      }
    }
  });

  it("put no panel over another or beside the grid", () => {
    const taken = new Set<string>();
    for (const { title, gridPos } of dashboard.panels) {
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

  it("never look at a counter without a rate or an increase, but where they say so", () => {
    const counters = Object.values(catalogue).filter((metric) => metric.type === "counter");
    for (const [title, expr] of queries) {
      for (const { name } of counters) {
        if (name === catalogue.overflow.name) continue;
        const bare = new RegExp(`(?<!(rate|increase)\\()${name}\\b`);
        expect(bare.test(expr), `${title}: ${name}`).toBe(false);
      }
    }
  });
});

describe("the catalogue", () => {
  const metrics = Object.values(catalogue);

  it.each(metrics.map((metric) => [metric.name, metric] as const))(
    "follows the naming rules of Prometheus: %s",
    (name, metric) => {
      expect(name).toMatch(/^changeover_[a-z]+(_[a-z]+)*$/);
      expect(name.endsWith("_total")).toBe(metric.type === "counter");
      expect(name).not.toMatch(/_(ms|milliseconds|minutes|kb|mb|megabytes|count|sum|bucket)(_|$)/);
      expect(metric.help).toMatch(/^[A-Z0-9].*\.$/s);
      if (metric.type === "histogram") {
        expect(name).toMatch(/_(seconds|bytes)$/);
        expect([...(metric.buckets ?? [])]).toEqual(
          [...(metric.buckets ?? [])].sort((a, b) => a - b),
        );
      }
      for (const label of Object.keys(metric.labels)) expect(label).toMatch(/^[a-z]+$/);
    },
  );

  it("appears in the text of a recorder with one operation, whole and at 0", async () => {
    const recorder = new MetricsRecorder();
    const nothing = (): undefined => undefined;
    recorder.addOperation(
      new Operation({ name: "a.b", kind: "read", legacy: nothing, candidate: nothing }, nothing),
    );
    const lines = (await recorder.text()).split("\n");
    for (const metric of metrics) {
      expect(lines).toContain(`# TYPE ${metric.name} ${metric.type}`);
      const combinations = Object.values(metric.labels).reduce(
        (product, values) => product * Math.max(values.length, 1),
        1,
      );
      const series =
        combinations * (metric.type === "histogram" ? (metric.buckets?.length ?? 0) : 1);
      const own = lines.filter((line) =>
        seriesNames(metric).some(
          (name) => line.startsWith(`${name}{`) || line.startsWith(`${name} `),
        ),
      );
      const bounds = metric.type === "histogram" ? combinations * 3 : 0;
      expect(own.length, metric.name).toBe(series + bounds);
      const atStart = metric === catalogue.buildInfo ? " 1" : " 0";
      expect(
        own.filter((line) => !line.endsWith(atStart)),
        metric.name,
      ).toEqual([]);
      for (const line of own.slice(0, 1)) {
        for (const label of labelNames(metric)) expect(line).toContain(`${label}="`);
      }
    }
  });
});

const tool = "promtool";
const promtool = (args: readonly string[], input?: string) =>
  spawnSync(tool, args, { encoding: "utf8", ...(input === undefined ? {} : { input }) });
const hasPromtool = promtool(["--version"]).status === 0;

describe.skipIf(!hasPromtool)("promtool (skipped where it is not installed)", () => {
  const path = (name: string) => fileURLToPath(new URL(name, root));

  it("accepts the rules", () => {
    const { status, stdout, stderr } = promtool(["check", "rules", "--lint=all", path(rulesPath)]);
    expect(status, stdout + stderr).toBe(0);
  });

  it("sees the rules fire, and stay silent, as their tests say", () => {
    const tests = path("grafana/alerts/changeover.rules.test.yaml");
    const { status, stdout, stderr } = promtool(["test", "rules", tests]);
    expect(status, stdout + stderr).toBe(0);
  });

  it("accepts what a recorder prints", async () => {
    const recorder = new MetricsRecorder();
    const nothing = (): undefined => undefined;
    recorder.addOperation(
      new Operation({ name: "a.b", kind: "read", legacy: nothing, candidate: nothing }, nothing),
    );
    const { status, stdout, stderr } = promtool(["check", "metrics"], await recorder.text());
    expect(status, stdout + stderr).toBe(0);
  });
});
