import type { PanelSpec, Query } from "./panel.ts";

const kind =
  (type: PanelSpec["type"]) =>
  (title: string, unit: string, description: string, queries: readonly Query[]): PanelSpec => ({
    title,
    unit,
    description,
    type,
    queries,
  });

/** A panel over time. */
export const lines: ReturnType<typeof kind> = kind("timeseries");

/** Numbers as they are now. */
export const stat: ReturnType<typeof kind> = kind("stat");

/** A panel over time with one query. */
export function line(
  title: string,
  unit: string,
  [expr, legend]: readonly [string, string],
  description: string,
): PanelSpec {
  return lines(title, unit, description, [{ expr, legend }]);
}
