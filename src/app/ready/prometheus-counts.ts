import {
  askPrometheus,
  isCount,
  type PrometheusSample,
  sumOf,
  unusableAnswer,
} from "../../rollout/fleet/prometheus.ts";
import type { ReadyCounts } from "./ready-check.ts";

/** What is asked of Prometheus. */
export interface PrometheusCountsOptions {
  /** Its address, as in `http://127.0.0.1:9090`. */
  readonly url: string;
  readonly operation: string;
  /** Days that are counted. */
  readonly days: number;
  readonly nowMs: number;
  /** Milliseconds for one answer; default 10,000: long spans take their time. */
  readonly timeoutMs?: number;
}

const bytesMax = 1024 * 1024;
const hourSeconds = 3600;

/** The queries, as they are sent. `now` and `earlier` ask whether there was anything to count, at both ends. */
export function readyQueries(
  operation: string,
  days: number,
): Readonly<Record<"now" | "earlier" | "calls" | "fallbacks" | "compared", string>> {
  const seconds = Math.round(days * 86_400);
  const of = `operation=${JSON.stringify(operation)}`;
  const span = `[${seconds}s]`;
  const began = Math.max(1, seconds - hourSeconds);
  return {
    now: `count(changeover_calls_total{${of}})`,
    // Within the first hour of the span.
    earlier: `count(last_over_time(changeover_calls_total{${of}}[${hourSeconds}s] offset ${began}s))`,
    calls: `sum by (path) (increase(changeover_calls_total{${of},source="served"}${span}))`,
    fallbacks: `sum(increase(changeover_fallbacks_total{${of},result!="denied"}${span}))`,
    compared: `sum by (result) (increase(changeover_shadow_runs_total{${of},result=~"same|different"}${span}))`,
  };
}

/**
 * What all instances counted in so many days, over their restarts; or in words why that cannot be told.
 * A time in the middle in which nothing was scraped is not noticed. Never rejects.
 */
export async function prometheusCounts(
  options: PrometheusCountsOptions,
): Promise<ReadyCounts | string> {
  const { url, operation, days, nowMs, timeoutMs = 10_000 } = options;
  const ask = (query: string): Promise<readonly PrometheusSample[]> =>
    askPrometheus({ url, timeoutMs, bytesMax }, query);
  const queries = readyQueries(operation, days);
  try {
    const [now, earlier, calls, fallbacks, compared] = await Promise.all([
      ask(queries.now),
      ask(queries.earlier),
      ask(queries.calls),
      ask(queries.fallbacks),
      ask(queries.compared),
    ]);
    if (now.length === 0) return `Prometheus knows no calls of ${operation} now.`;
    if (earlier.length === 0) return `Prometheus has nothing from ${days} days ago.`;
    const all = [...calls, ...fallbacks, ...compared];
    if (calls.length === 0 || fallbacks.length === 0 || !all.every(isCount)) {
      return "Prometheus gave no numbers.";
    }
    const of = (label: string, value: string, from: readonly PrometheusSample[]): number =>
      sumOf(from.filter(({ metric }) => metric[label] === value));
    // `increase` estimates: what speaks for the candidate is rounded down, and what speaks against it up.
    const different = Math.ceil(of("result", "different", compared));
    return {
      source: "Prometheus",
      sinceMs: nowMs - days * 86_400_000,
      candidateCalls: Math.floor(of("path", "candidate", calls)),
      legacyCalls: Math.ceil(of("path", "legacy", calls)),
      fallbacks: Math.ceil(sumOf(fallbacks)),
      compared: Math.floor(of("result", "same", compared)) + different,
      different,
    };
  } catch (error) {
    return unusableAnswer(error);
  }
}
