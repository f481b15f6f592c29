import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allDashboards } from "../metrics/dashboard.ts";
import { substituted } from "../metrics/promql.ts";
import { hasTool } from "../support/prometheus-tools.ts";
import {
  historySeconds,
  historyStart,
  historyStep,
  recordedHistory,
  type Scenario,
} from "./histories.ts";
import { Prometheus, type Series } from "./prometheus.ts";

const canRun = hasTool("prometheus") && hasTool("promtool");
const end = historyStart + historySeconds;
const range = { start: historyStart + 120, end, step: historyStep };

/** One query of a panel, and what is to be expected of it. */
interface Asked {
  readonly title: string;
  readonly expr: string;
  readonly legend: string;
  readonly now: boolean;
  /** The description says that nothing to be seen is good news. */
  readonly mayBeEmpty: boolean;
}

const panels: readonly Asked[] = allDashboards.flatMap(({ name, panels: all }) =>
  all.flatMap(({ title, type, description = "", targets = [] }) =>
    targets.map((target) => ({
      title: `${name}: ${title}`,
      expr: substituted(target.expr),
      legend: target.legendFormat,
      now: type === "stat",
      mayBeEmpty: /empty when|none where|that callers did not see/i.test(description),
    })),
  ),
);
const annotations = allDashboards.flatMap((each) =>
  (each.annotations.list ?? []).map(({ name, expr }) => ({ name, expr: substituted(expr) })),
);

/** What is there whether or not anybody calls. */
const always = [
  "rollout: Latch",
  "rollout: Flag",
  "rollout: Stage",
  "rollout: State",
  "fleet: Running",
  "fleet: Revisions",
  "fleet: Leader",
  "fleet: Used",
  "fleet: Event loop",
  "files: Spool",
];

const numbersOf = (series: readonly Series[]): readonly number[] =>
  series.flatMap(({ points }) => points.map(([, value]) => value));

describe.skipIf(!canRun)("dashboards on a real Prometheus (skipped without it)", () => {
  describe.each<Scenario>(["healthy", "breach", "no traffic"])("with a history: %s", (scenario) => {
    let prometheus: Prometheus;
    const answer = ({ expr, now }: Asked): Promise<readonly Series[]> =>
      now ? prometheus.at(expr, end) : prometheus.over(expr, range);

    beforeAll(async () => {
      prometheus = await Prometheus.withHistory(recordedHistory(scenario));
    });
    afterAll(() => prometheus?.close());

    it("answers every query with finite numbers, whose labels the legends name", async () => {
      for (const asked of panels) {
        const series = await answer(asked);
        expect(numbersOf(series).every(Number.isFinite), `${asked.title}: ${asked.expr}`).toBe(
          true,
        );
        for (const [, label = ""] of asked.legend.matchAll(/\{\{(\w+)\}\}/g)) {
          for (const { metric } of series) {
            expect(metric[label], `${asked.title}: {{${label}}}`).toBeTruthy();
          }
        }
      }
    });

    it("leaves no panel empty that should show something", async () => {
      const empty: string[] = [];
      for (const asked of panels) {
        const isExpected =
          scenario === "breach" ||
          (scenario === "healthy" ? !asked.mayBeEmpty : always.includes(asked.title));
        if (isExpected && numbersOf(await answer(asked)).length === 0) {
          empty.push(`${asked.title}: ${asked.expr}`);
        }
      }
      expect(empty).toEqual([]);
      for (const title of always) expect(panels.some((each) => each.title === title)).toBe(true);
    });

    it("marks changes of stage, and rollbacks where there were any", async () => {
      const marked: string[] = [];
      for (const { name, expr } of annotations) {
        if ((await prometheus.over(expr, range)).length > 0) marked.push(name);
      }
      const rollbacks = scenario === "breach" ? ["Rollback", "Latch tripped"] : [];
      expect(marked).toEqual(["Stage", ...rollbacks]);
    });
  });

  it("is told of PromQL that does not type-check", async () => {
    const prometheus = await Prometheus.withHistory(recordedHistory("no traffic"));
    try {
      await expect(prometheus.at("rate(changeover_calls_total)", end)).rejects.toThrow(
        "expected type",
      );
      const names = "sum by (route) (changeover_build_info)";
      expect((await prometheus.at(names, end)).map(({ metric }) => metric)).toEqual([{}]);
    } finally {
      await prometheus.close();
    }
  });
});
