import type { PathTotals } from "../evidence.ts";
import type { InstanceTotals, TotalsReading, TotalsSource } from "../ports.ts";
import {
  askPrometheus,
  isCount,
  type PrometheusDoor,
  type PrometheusSample,
  sumOf,
  unusableAnswer,
} from "./prometheus.ts";

/** How Prometheus is asked: 2,000 ms and 4 MiB for one answer when nothing else is said. */
export interface PrometheusTotalsOptions
  extends Pick<PrometheusDoor, "url">,
    Partial<Omit<PrometheusDoor, "url">> {
  /** The scrape job whose `up` is read; default: the instances that have `changeover_build_info`. */
  readonly job?: string;
}

const runs = "changeover_calls_total";
const served = 'source="served"';

/** The queries, as they are sent; `up` stands next to the counts, since a target that is down keeps its last ones. */
export function queriesOf(
  job: string | undefined,
): Readonly<Record<"up" | "calls" | "durations" | "compared", string>> {
  const target = job === undefined ? "" : `job=${JSON.stringify(job)}`;
  const and = target === "" ? "" : `,${target}`;
  return {
    up:
      target === ""
        ? "up * on(instance) group_left() (changeover_build_info * 0 + 1)"
        : `up{${target}}`,
    calls: `sum by (instance, operation, path, outcome) (${runs}{${served}${and}})`,
    durations: `sum by (instance, operation, path) (changeover_call_duration_seconds_sum{${served}${and}})`,
    compared: `sum by (instance, operation) (changeover_shadow_runs_total{result=~"same|different"${and}})`,
  };
}

/**
 * The fleet's counts from Prometheus. An answer that is late, empty, not a number or not understood is
 * `blind`, never 0; so is a fleet of which no target is up. Counts are as old as the last scrape.
 */
export class PrometheusTotals implements TotalsSource {
  readonly #door: PrometheusDoor;
  readonly #queries: ReturnType<typeof queriesOf>;

  constructor(options: PrometheusTotalsOptions) {
    const { url, timeoutMs = 2000, bytesMax = 4 * 1024 * 1024, job } = options;
    this.#door = { url, timeoutMs, bytesMax };
    this.#queries = queriesOf(job);
  }

  async read(operations: readonly string[]): Promise<TotalsReading> {
    try {
      const { up, calls, durations, compared } = this.#queries;
      const [ups, ofCalls, ofDurations, ofCompared] = await Promise.all(
        [up, calls, durations, compared].map((query) => askPrometheus(this.#door, query)),
      );
      return readingOf({ ups, ofCalls, ofDurations, ofCompared }, operations);
    } catch (error) {
      return { blind: unusableAnswer(error) };
    }
  }
}

interface Samples {
  readonly ups: readonly PrometheusSample[] | undefined;
  readonly ofCalls: readonly PrometheusSample[] | undefined;
  readonly ofDurations: readonly PrometheusSample[] | undefined;
  readonly ofCompared: readonly PrometheusSample[] | undefined;
}

function readingOf(samples: Samples, operations: readonly string[]): TotalsReading {
  const { ups = [], ofCalls = [], ofDurations = [], ofCompared = [] } = samples;
  const up = ups.filter((each) => Number(each.value[1]) === 1).map(instanceOf);
  if (up.length === 0) return { blind: "Prometheus reaches no instance: none of them is up." };
  if (ofCalls.length === 0) return { blind: "Prometheus knows no calls." };
  if (![...ofCalls, ...ofDurations, ...ofCompared].every(isCount)) {
    return { blind: "Prometheus answered with something that is not a number." };
  }
  const totals = up.flatMap((instance) =>
    operations.flatMap((operation): InstanceTotals[] => {
      const mine = (each: PrometheusSample): boolean =>
        instanceOf(each) === instance && each.metric["operation"] === operation;
      const calls = ofCalls.filter(mine);
      if (calls.length === 0) return [];
      const durations = ofDurations.filter(mine);
      const path = (name: string): PathTotals => ({
        calls: sum(calls, name) - sum(calls, name, "aborted"),
        failed: sum(calls, name, "failed"),
        timedOut: sum(calls, name, "timed-out"),
        durationMs: durations.length === 0 ? null : sum(durations, name) * 1000,
      });
      return [
        {
          instance,
          operation,
          legacy: path("legacy"),
          candidate: path("candidate"),
          compared: sumOf(ofCompared.filter(mine)),
        },
      ];
    }),
  );
  return totals.length === 0
    ? { blind: "Prometheus knows no calls of a live instance." }
    : { totals };
}

const instanceOf = ({ metric }: PrometheusSample): string => metric["instance"] ?? "";

function sum(samples: readonly PrometheusSample[], path: string, outcome?: string): number {
  return sumOf(
    samples
      .filter(({ metric }) => metric["path"] === path)
      .filter(({ metric }) => outcome === undefined || metric["outcome"] === outcome),
  );
}
