import { describe, expect, it } from "vitest";
import { catalogue } from "../../src/metrics/catalogue.ts";
import { filesMetrics } from "../../src/metrics/definitions/files-metrics.ts";
import { labelNames, seriesNames } from "../../src/metrics/metric.ts";
import { MetricsRecorder } from "../../src/metrics/recorder.ts";
import { Operation } from "../../src/migration/operation.ts";
import { allMetrics } from "../metrics/dashboard.ts";
import { hasTool, runTool } from "../support/prometheus-tools.ts";

describe("the catalogue", () => {
  const metrics = Object.values(catalogue);
  const names = allMetrics.map((metric) => [metric.name, metric] as const);

  it.each(names)("follows the naming rules of Prometheus: %s", (name, metric) => {
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
    for (const [label, values] of Object.entries(metric.labels)) {
      expect(label).toMatch(/^[a-z]+$/);
      expect(new Set(values).size).toBe(values.length);
    }
  });

  it("has every name once", () => {
    expect(new Set(allMetrics.map(({ name }) => name)).size).toBe(allMetrics.length);
  });

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

describe.skipIf(!hasTool("promtool"))("promtool (skipped where it is not installed)", () => {
  const nothing = (): undefined => undefined;

  it("accepts what a recorder prints, with the metrics of files", async () => {
    const recorder = new MetricsRecorder();
    recorder.addFamilies(filesMetrics, nothing);
    recorder.addOperation(
      new Operation({ name: "a.b", kind: "read", legacy: nothing, candidate: nothing }, nothing),
    );
    const { status, output } = runTool("promtool", ["check", "metrics"], await recorder.text());
    expect(status, output).toBe(0);
  });
});
