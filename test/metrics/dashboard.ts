import { dashboards } from "../../grafana/dashboards.ts";
import { catalogue } from "../../src/metrics/catalogue.ts";
import { filesMetrics } from "../../src/metrics/definitions/files-metrics.ts";
import type { MetricDefinition } from "../../src/metrics/metric.ts";

/** A target of a panel. */
export interface Target {
  readonly expr: string;
  readonly legendFormat: string;
  readonly instant?: boolean;
  readonly range?: boolean;
  readonly datasource: { readonly uid: string };
}

/** A panel as Grafana reads it. */
export interface Panel {
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
  readonly targets?: readonly Target[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly options?: {
    readonly legend?: { readonly showLegend: boolean };
    readonly reduceOptions?: { readonly calcs: readonly string[] };
  };
}

/** A dashboard as Grafana reads it. */
export interface Dashboard {
  readonly name: string;
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly annotations: {
    readonly list?: readonly { readonly name: string; readonly expr: string }[];
  };
}

/** Every dashboard as it is generated. */
export const allDashboards: readonly Dashboard[] = Object.entries(dashboards).map(
  ([name, json]) => ({ name, ...(json as unknown as Omit<Dashboard, "name">) }),
);

/** Every metric that an instance of the product exports, with that of the file system. */
export const allMetrics: readonly MetricDefinition[] = [
  ...Object.values(catalogue),
  ...Object.values(filesMetrics),
];
